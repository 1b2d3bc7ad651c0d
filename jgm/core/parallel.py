"""The strategies: how one Step is compiled for one device, many devices, many seeds.

  jit        a device mesh (`data`, `model`); the batch is sharded over `data`, and the
             state is replicated, or cut by `jgm.core.sharding`
  pmap       one replica per device with its own randomness, estimates averaged
  num_seeds  vmap over N training states: N runs in one program (large ones on a CPU
             take each step in turn)

A training step is compiled, and its state donated, in `jit_program` and `replicas`
alone.
"""

from collections.abc import Mapping, Sequence

import jax
from jax.sharding import AxisType, Mesh

from jgm.core.collectives import DATA_AXIS, MODEL_AXIS
from jgm.core.experiment import Experiment
from jgm.core.jit_program import make_jit_program
from jgm.core.program import Program
from jgm.core.replicas import make_pmap_program
from jgm.core.state import PyTree

STRATEGIES = ("jit", "pmap")


def make_program(
  experiment: Experiment,
  pretrained: Mapping[str, PyTree] | None = None,
  *,
  strategy: str = "jit",
  num_seeds: int = 1,
  steps_per_call: int = 1,
  data_devices: int = -1,
  model_devices: int = 1,
  fsdp: bool = False,
  devices: Sequence[jax.Device] | None = None,
) -> Program:
  """Compiles an experiment's step by one of the strategies.

  Args:
    experiment: what to train.
    pretrained: what `experiment.pretrained` asks for, by name.
    strategy: "jit" or "pmap".
    num_seeds: the number of training states, N. With N > 1 the state and the metrics
      have a leading axis [N], and run i is the run whose seed is the seed plus i.
    steps_per_call: the greatest number of steps in one compiled call.
    data_devices: devices along the mesh's `data` axis; -1 takes all there are.
    model_devices: devices along the mesh's `model` axis, over which the networks are
      cut by `experiment.sharding_rules`.
    fsdp: whether the large leaves of the state are cut over `data` too.
    devices: those to use; None is all there are. Of devices that are only described, a
      topology's, the program can be lowered and compiled, and not run.

  Returns:
    A Program; nothing is compiled until it is called.

  Raises:
    ValueError: if the strategy is unknown, does not go with the rest, asks for more
      devices than there are, or the devices do not divide the batch size or an axis
      that is to be cut.
  """
  if strategy not in STRATEGIES:
    raise ValueError(f"unknown strategy {strategy!r}: it is one of {STRATEGIES}")
  if steps_per_call < 1 or num_seeds < 1:
    raise ValueError("steps_per_call and num_seeds are at least 1")
  if num_seeds > 1 and (strategy == "pmap" or fsdp):
    raise ValueError(f"{'fsdp' if fsdp else strategy} does not go with num_seeds")
  if strategy == "pmap" and (fsdp or model_devices > 1 or jax.process_count() > 1):
    raise ValueError(
      "pmap is for replicas in one process: use jit for fsdp, model_devices or several"
    )
  mesh = make_mesh(data_devices, model_devices, devices)
  pretrained = pretrained or {}
  if strategy == "pmap":
    _check_batch_size(experiment, mesh)
    return make_pmap_program(experiment, pretrained, mesh, steps_per_call)
  seeds_over_data = num_seeds > 1 and num_seeds % mesh.shape[DATA_AXIS] == 0
  if not seeds_over_data:
    _check_batch_size(experiment, mesh)
  return make_jit_program(
    experiment,
    pretrained,
    mesh,
    num_seeds=num_seeds,
    steps_per_call=steps_per_call,
    seeds_over_data=seeds_over_data,
    fsdp=fsdp,
  )


def make_mesh(
  data_devices: int = -1,
  model_devices: int = 1,
  devices: Sequence[jax.Device] | None = None,
) -> Mesh:
  """The device mesh, with axes `data` and `model`.

  Args:
    data_devices: devices along `data`; -1 takes all that `model` leaves.
    model_devices: devices along `model`.
    devices: those to use; None is all there are.

  Returns:
    The mesh, over the first devices where not all are used.

  Raises:
    ValueError: if the product is not a number of devices that there is.
  """
  of_all = devices is None
  devices = jax.devices() if devices is None else devices
  available = len(devices)
  if data_devices == -1:
    data_devices = available // model_devices
  used = data_devices * model_devices
  if not 1 <= used <= available:
    raise ValueError(
      f"a mesh of {data_devices} x {model_devices} devices: there are {available}"
    )
  if of_all:
    _check_processes(devices[:used])
  return jax.make_mesh(
    (data_devices, model_devices),
    (DATA_AXIS, MODEL_AXIS),
    axis_types=(AxisType.Auto, AxisType.Auto),  # jax's default is Explicit
    devices=devices[:used],
  )


def _check_processes(used: Sequence[jax.Device]) -> None:
  """Raises where some of several processes would have no device: all take each step."""
  if len({device.process_index for device in used}) < jax.process_count():
    raise ValueError(
      f"a mesh of {len(used)} devices leaves out some of {jax.process_count()} "
      "processes: set config.parallel.data_devices to -1"
    )


def _check_batch_size(experiment: Experiment, mesh: Mesh) -> None:
  if experiment.data is None:
    return
  batch_size, devices = experiment.data.batch_size, mesh.shape[DATA_AXIS]
  if batch_size % devices:
    raise ValueError(
      f"a batch of {batch_size} does not divide over {devices} devices: make "
      f"config.data.batch_size a multiple of {devices}, or set "
      "config.parallel.data_devices to a number that divides it"
    )
