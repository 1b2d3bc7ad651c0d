"""The strategies: how one Step is compiled for one device, many devices, many seeds.

  jit        a device mesh (`data`, `model`); the batch is sharded over `data`
  pmap       one replica per device with its own randomness, estimates averaged
  num_seeds  vmap over N training states: N runs in one program (large ones on a CPU
             take each step in turn)

Here and in `replicas` is the only place where a training step is compiled, and where
its state is donated.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jgm.core.collectives import DATA_AXIS, pmean, shared_key
from jgm.core.compiled import Advance, make_advance, make_call
from jgm.core.experiment import Batch, Experiment
from jgm.core.program import (
  RUN_ONCE,
  Program,
  abstract_state,
  base_key,
  batch_at,
  batched_leaves,
  with_shardings,
)
from jgm.core.replicas import make_pmap_program
from jgm.core.state import Array, PyTree, TrainState

__all__ = ["make_mesh", "make_program", "pmean", "shared_key"]

STRATEGIES = ("jit", "pmap")
KEEPS_A_CPU_BUSY = 2**17  # parameters, from which on a step does


def make_program(
  experiment: Experiment,
  pretrained: Mapping[str, PyTree] | None = None,
  *,
  strategy: str = "jit",
  num_seeds: int = 1,
  steps_per_call: int = 1,
  data_devices: int = -1,
  model_devices: int = 1,
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
    model_devices: devices along the mesh's `model` axis.
    devices: those to use; None is all there are. Of devices that are only described, a
      topology's, the program can be lowered and compiled, and not run.

  Returns:
    A Program; nothing is compiled until it is called.

  Raises:
    ValueError: if the strategy is unknown, does not go with `num_seeds`, asks for more
      devices than there are, or the devices do not divide the batch size.
  """
  if strategy not in STRATEGIES:
    raise ValueError(f"unknown strategy {strategy!r}: it is one of {STRATEGIES}")
  if steps_per_call < 1 or num_seeds < 1:
    raise ValueError("steps_per_call and num_seeds are at least 1")
  if model_devices > 1:
    raise ValueError("no leaf is sharded over `model` yet: set model_devices to 1")
  mesh = make_mesh(data_devices, model_devices, devices)
  pretrained = pretrained or {}
  if strategy == "pmap":
    if num_seeds > 1:
      raise ValueError("pmap does not go with num_seeds: use jit")
    _check_batch_size(experiment, mesh)
    return make_pmap_program(experiment, pretrained, mesh, steps_per_call)
  seeds_over_data = num_seeds > 1 and num_seeds % mesh.shape[DATA_AXIS] == 0
  if not seeds_over_data:
    _check_batch_size(experiment, mesh)
  return _make_jit_program(
    experiment, pretrained, mesh, num_seeds, steps_per_call, seeds_over_data
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
  devices = jax.devices() if devices is None else devices
  available = len(devices)
  if data_devices == -1:
    data_devices = available // model_devices
  used = data_devices * model_devices
  if not 1 <= used <= available:
    raise ValueError(
      f"a mesh of {data_devices} x {model_devices} devices: there are {available}"
    )
  return jax.make_mesh(
    (data_devices, model_devices),
    (DATA_AXIS, "model"),
    axis_types=(AxisType.Auto, AxisType.Auto),  # jax's default is Explicit
    devices=devices[:used],
  )


def _make_jit_program(
  experiment, pretrained, mesh, num_seeds, steps_per_call, seeds_over_data
) -> Program:
  """The batch sharded over `data`, the state replicated; or the seeds over `data`."""
  init, advance = experiment.init, make_advance(experiment.step)
  if num_seeds > 1:
    one = abstract_state(init, base_key(0), pretrained)
    init = jax.vmap(init, (0, None))
    advance = _over_seeds(advance, one, mesh)
  over_data, replicated = PartitionSpec(DATA_AXIS), PartitionSpec()
  batch_sharding = NamedSharding(mesh, replicated if seeds_over_data else over_data)

  def batch(arrays: PyTree, step: Array) -> Batch:
    rows = batch_at(experiment, arrays, step)
    return jax.lax.with_sharding_constraint(rows, batch_sharding)

  def keys(seed: int) -> Array:
    if num_seeds == 1:
      return base_key(seed)
    return jax.vmap(base_key)(seed + jnp.arange(num_seeds))

  def leaf_spec(batched: bool) -> PartitionSpec:
    if seeds_over_data:
      return over_data
    if batched:
      return PartitionSpec(None, DATA_AXIS) if num_seeds > 1 else over_data
    return replicated

  shapes = abstract_state(init, keys(0), pretrained)
  shardings = jax.tree.map(
    lambda batched: NamedSharding(mesh, leaf_spec(batched)),
    batched_leaves(experiment, shapes),
  )
  compiled_init = jax.jit(init, out_shardings=shardings, compiler_options=RUN_ONCE)
  run = jax.jit(
    make_call(advance, batch, steps_per_call=steps_per_call),
    donate_argnums=0,
    out_shardings=(shardings, None, None),
  )

  data = experiment.data
  stream = data is not None and data.batch_axis is not None and not seeds_over_data
  rows = PartitionSpec(*[None] * data.batch_axis, DATA_AXIS) if stream else replicated
  of_arrays = NamedSharding(mesh, rows)
  abstract = with_shardings(shapes, shardings)

  def traced(arrays: PyTree) -> jax.stages.Traced:
    # Of the very shapes and shardings of a call, which then does not trace again.
    arrays = with_shardings(arrays, of_arrays)
    return run.trace(abstract, arrays, jnp.zeros((), jnp.int32))

  def trace(arrays: PyTree) -> None:
    traced(arrays)

  return Program(
    init=lambda seed: compiled_init(keys(seed), pretrained),
    run=lambda state, arrays, n: run(state, arrays, jnp.asarray(n, jnp.int32)),
    rerun=jax.jit(lambda s, arrays: advance(s, batch(arrays, jnp.ravel(s.step)[0]))),
    trace=trace,
    lower=lambda arrays: traced(arrays).lower(),
    place=lambda arrays: jax.device_put(arrays, of_arrays),
    whole=lambda state: state,
    running=lambda state: state,
    abstract=abstract,
    num_seeds=num_seeds,
    steps_per_call=steps_per_call,
  )


def _over_seeds(advance: Advance, one: TrainState, mesh: Mesh) -> Advance:
  """One step of many states, [N, ...] each, on the same batch.

  All at once, but on a lone CPU whose cores one of them keeps busy: there they would
  only push each other out of the cache, and take their steps in turn.
  """
  num_parameters = sum(leaf.size for leaf in jax.tree.leaves(one.params))
  is_lone_cpu = mesh.size == 1 and mesh.devices.flat[0].platform == "cpu"
  if is_lone_cpu and num_parameters > KEEPS_A_CPU_BUSY:
    return lambda states, batch: jax.lax.map(lambda s: advance(s, batch), states)
  return jax.vmap(advance, (0, None))


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
