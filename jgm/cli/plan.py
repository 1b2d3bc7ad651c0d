"""`--mode=plan`: what a config would take on a topology, before any of it is rented."""

import json

import jax
from ml_collections import ConfigDict

from jgm.cache import cache_dir
from jgm.cli.config import load_config
from jgm.cli.console import print_message
from jgm.cli.errors import UserError, for_the_user
from jgm.cli.flags import Options
from jgm.cli.opening import abstract_pretrained
from jgm.cli.plan_table import print_plan
from jgm.cli.run import Make, make_config_program, make_experiment
from jgm.cli.waiting import waiting
from jgm.core.experiment import Experiment
from jgm.core.program import Program
from jgm.plan import DoesNotFit, Topology, TopologyError, find_topology, make_plan
from jgm.plan.arrays import abstract_arrays, streamed_bytes
from jgm.plan.plan import (
  Measured,
  cache_name,
  compile_and_count,
  measured_from_json,
  to_json,
)
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
  config = load_config(options.config_spec, options.overrides)
  experiment = make_experiment(make, config)
  program = _program(experiment, config, topology)
  data = experiment.data
  arrays = abstract_arrays(data, program.steps_per_call)
  with for_the_user(ValueError, doing="tracing the step"):
    lowered = program.lower(arrays)
  planned = make_plan(
    program,
    _measure(lowered, program, topology),
    topology,
    batch_size=data.batch_size if data else None,
    streamed_bytes=streamed_bytes(data, arrays) // len(topology.devices),
    total_steps=config.total_steps,
    price_per_chip_hour=options.price_per_chip_hour,
  )
  print_plan(planned)
  text = json.dumps(to_json(planned), indent=2) + "\n"
  path = options.workdir / "plan.json"
  with for_the_user(OSError):
    options.workdir.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
  print_message(f"plan: {path}")


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


def _measure(
  lowered: jax.stages.Lowered, program: Program, topology: Topology
) -> Measured:
  """What was measured of this program before; else it is compiled."""
  path = cache_dir("plan") / cache_name(lowered, topology)
  if path.exists():
    return measured_from_json(path.read_text())
  with waiting(f"compiling for {topology.name}"):
    try:
      measured = compile_and_count(lowered, steps_per_call=program.steps_per_call)
    except DoesNotFit as error:
      raise UserError(
        f"it does not fit into a chip of {topology.name}: {error}. Make "
        "config.data.batch_size smaller, or take more chips"
      ) from error
  path.write_text(json.dumps(to_json(measured)))
  return measured
