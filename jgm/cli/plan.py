"""`--mode=plan`: what a config would take on a topology, before any of it is rented."""

import json
from typing import NamedTuple

import jax
from etils import epath
from ml_collections import ConfigDict

from jgm.cache import cache_dir
from jgm.cli.config import load_config
from jgm.cli.console import print_message
from jgm.cli.errors import UserError, for_the_user
from jgm.cli.flags import Options
from jgm.cli.opening import abstract_pretrained
from jgm.cli.plan_table import print_plan
from jgm.cli.run import Make, make_config_program, make_experiment
from jgm.cli.storage import replace_file
from jgm.cli.waiting import waiting
from jgm.core.experiment import Experiment
from jgm.core.program import Program
from jgm.data.shapes import shapes_of
from jgm.plan import (
  DoesNotFit,
  Plan,
  Topology,
  TopologyError,
  compile_call,
  find_topology,
  make_plan,
  measure,
)
from jgm.plan.compiled import Compiled, keep, kept_name, read_kept
from jgm.plan.largest_batch import Filled, largest_batch, second_batch_size
from jgm.plan.plan import Measured, to_json
from jgm.plan.topology import prepare


def plan(options: Options, make: Make) -> None:
  """Compiles a call for the topology; prints what it takes and writes plan.json.

  Args:
    options: the command line.
    make: config -> Experiment.

  Raises:
    UserError: if there is no such topology or compiler, the mesh is not of its devices,
      or the program cannot be compiled to fit into a chip's memory.
  """
  with for_the_user(TopologyError):
    prepare(options.topology)
    topology = find_topology(options.topology)
  call = _lower(options, make, topology)
  measured = _measure(call, topology)
  planned = make_plan(
    call.program,
    measured,
    topology,
    batch_size=call.batch_size,
    total_steps=call.config.total_steps,
    price_per_chip_hour=options.price_per_chip_hour,
  )
  print_plan(planned)
  path = _write(planned, options)
  if topology.chip is not None and call.batch_size:
    largest = _largest_batch(options, make, topology, call, measured)
    _write(planned._replace(largest_batch=largest), options)
  print_message(f"plan: {path}")


def _write(planned: Plan, options: Options) -> epath.Path:
  text = json.dumps(to_json(planned), indent=2) + "\n"
  path = options.workdir / "plan.json"
  with for_the_user(OSError):
    replace_file(path, text.encode())
  return path


class _Call(NamedTuple):
  """What is compiled: a call of some steps."""

  config: ConfigDict
  program: Program
  batch_size: int | None
  lowered: jax.stages.Lowered


def _lower(options: Options, make: Make, topology: Topology, *more: str) -> _Call:
  """Traces a call of the command line's config, and `more` overrides."""
  config = load_config(options.config_spec, (*options.overrides, *more))
  experiment = make_experiment(make, config)
  program = _program(experiment, config, topology)
  arrays = shapes_of(experiment.data, program.steps_per_call)
  with for_the_user(ValueError, doing="tracing the step"):
    lowered = program.lower(arrays)
  batch_size = experiment.data.batch_size if experiment.data else None
  return _Call(config, program, batch_size, lowered)


def _program(experiment: Experiment, config: ConfigDict, topology: Topology) -> Program:
  parallel, num_devices = config.parallel, len(topology.devices)
  data_devices, model_devices = parallel.data_devices, parallel.model_devices
  if data_devices == -1:
    data_devices = num_devices // model_devices
  if data_devices * model_devices != num_devices:
    raise UserError(
      f"a mesh of {data_devices} x {model_devices} devices is not the {num_devices} of "
      f"{topology.name}: set config.parallel.data_devices to -1, or to what "
      f"makes {num_devices} with model_devices"
    )
  with for_the_user(ValueError, OSError):
    pretrained = abstract_pretrained(experiment.pretrained)
  return make_config_program(experiment, config, pretrained, topology.devices)


def _largest_batch(
  options: Options, make: Make, topology: Topology, call: _Call, measured: Measured
) -> int | None:
  """The largest batch that fits, which is told; another is compiled to know it."""
  assert topology.chip is not None and call.batch_size
  limit, num_devices = topology.chip.memory, call.program.batch_devices
  first = Filled(call.batch_size, measured.memory.total)
  size = second_batch_size(first, limit, num_devices=num_devices)
  try:
    other = _lower(options, make, topology, f"data.batch_size={size}")
    second = Filled(size, _measure(other, topology).memory.total)
  except UserError as error:
    print_message(f"the largest batch that fits is not known: of {size}, {error}")
    return None
  found = largest_batch(first, second, limit, num_devices=num_devices)
  if found is not None:
    print_message(f"the largest batch that fits: about {found:,}")
  return found


def _measure(call: _Call, topology: Topology) -> Measured:
  """What is measured of a call that was compiled before; else it is now."""
  path = cache_dir("plan") / kept_name(call.lowered, topology, call.program.options)
  if not path.exists():
    keep(_compile(call, topology), path)
  return measure(read_kept(path), steps_per_call=call.program.steps_per_call)


def _compile(call: _Call, topology: Topology) -> Compiled:
  batch = f", a batch of {call.batch_size}" if call.batch_size else ""
  with waiting(f"compiling for {topology.name}{batch}"):
    try:
      return compile_call(call.lowered)
    except DoesNotFit as error:
      raise UserError(
        f"it does not fit into a chip of {topology.name}: {error}. Make "
        "config.data.batch_size smaller, or take more chips"
      ) from error
