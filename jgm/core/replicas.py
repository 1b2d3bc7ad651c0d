"""The pmap strategy: one replica of the state per device, with its own randomness."""

from collections.abc import Mapping

import einops
import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jgm.core.collectives import DATA_AXIS
from jgm.core.compiled import Advance, Call, make_advance, make_call
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
from jgm.core.state import Array, PyTree, TrainState


def make_replica(
  experiment: Experiment, num_replicas: int, steps_per_call: int
) -> tuple[Call, Advance]:
  """What one replica does, to be mapped with `axis_name="data"` over states [R, ...].

  Each replica takes its rows of the batch, and folds its index into the step's key.

  Args:
    experiment: what to train.
    num_replicas: the number of replicas, R.
    steps_per_call: the greatest number of steps of a call.

  Returns:
    The guarded call, (state, arrays, num_steps) -> (state, metrics, ok), and one step
    as it is, (state, arrays) -> (state, metrics).
  """

  def batch(arrays: PyTree, step: Array) -> Batch:
    def own_rows(rows: Array) -> Array:
      size = rows.shape[0] // num_replicas
      start = jax.lax.axis_index(DATA_AXIS) * size
      return jax.lax.dynamic_slice_in_dim(rows, start, size)

    return jax.tree.map(own_rows, batch_at(experiment, arrays, step))

  def own_key(key: Array) -> Array:
    return jax.random.fold_in(key, jax.lax.axis_index(DATA_AXIS))

  def all_agree(ok: Array) -> Array:
    return jax.lax.pmin(ok.astype(jnp.int32), DATA_AXIS) > 0

  advance = make_advance(experiment.step, own_key)
  call = make_call(advance, batch, steps_per_call=steps_per_call, agree=all_agree)
  return call, lambda state, arrays: advance(state, batch(arrays, state.step))


def split_replicas(experiment: Experiment, state: TrainState, num_replicas: int):
  """One state per replica out of the whole state.

  Args:
    experiment: tells which leaves of `extra` carry a batch axis.
    state: the whole state.
    num_replicas: the number of replicas, R.

  Returns:
    The state with leaves [R, ...]: copies, or slices of the leaves with a batch axis.
  """

  def split(leaf: Array, batched: bool) -> Array:
    if batched:
      return einops.rearrange(leaf, "(r b) ... -> r b ...", r=num_replicas)
    return jnp.stack([leaf] * num_replicas)

  return _map_with_key_data(split, state, batched_leaves(experiment, state))


def merge_replicas(experiment: Experiment, state: TrainState) -> TrainState:
  """The whole state out of one per replica; the inverse of `split_replicas`."""

  def merge(leaf: Array, batched: bool) -> Array:
    return einops.rearrange(leaf, "r b ... -> (r b) ...") if batched else leaf[0]

  return _map_with_key_data(merge, state, batched_leaves(experiment, state))


def _map_with_key_data(fn, state: TrainState, batched: TrainState) -> TrainState:
  """Maps `fn` over the leaves, over a key's bits where a leaf is a key.

  Indexing a typed key would count as using it, and be an error where jax watches that.
  """

  def on_leaf(leaf: Array, batched: bool) -> Array:
    if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      return fn(leaf, batched)
    data = fn(jax.random.key_data(leaf), batched)
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))

  return jax.tree.map(on_leaf, state, batched)


def make_pmap_program(
  experiment: Experiment,
  pretrained: Mapping[str, PyTree],
  mesh: Mesh,
  steps_per_call: int,
) -> Program:
  """The experiment compiled by pmap over the mesh's `data` axis.

  Args:
    experiment: what to train.
    pretrained: what `experiment.pretrained` asks for, by name.
    mesh: the devices.
    steps_per_call: the greatest number of steps in one compiled call.

  Returns:
    A Program.
  """
  num_replicas = mesh.shape[DATA_AXIS]
  call, advance = make_replica(experiment, num_replicas, steps_per_call)
  devices = list(mesh.devices.flat)
  run = jax.pmap(
    call,
    axis_name=DATA_AXIS,
    in_axes=(0, None, None),
    devices=devices,
    donate_argnums=0,
  )
  rerun = jax.pmap(advance, axis_name=DATA_AXIS, in_axes=(0, None), devices=devices)
  compiled_init = jax.jit(experiment.init, compiler_options=RUN_ONCE)
  # pmap's own mesh, or the second call, of the first one's result, would compile anew.
  own_mesh = jax.make_mesh(
    (num_replicas,), (DATA_AXIS,), axis_types=(AxisType.Auto,), devices=devices
  )
  over_replicas = NamedSharding(own_mesh, PartitionSpec(DATA_AXIS))
  replicated = NamedSharding(own_mesh, PartitionSpec())
  abstract = abstract_state(experiment.init, base_key(0), pretrained)

  def lower(arrays: PyTree) -> jax.stages.Lowered:
    # Of the very shapes and shardings of a call, which then does not trace again.
    split = lambda state: split_replicas(experiment, state, num_replicas)
    state = with_shardings(jax.eval_shape(split, abstract), over_replicas)
    arrays = with_shardings(arrays, replicated)
    return run.lower(state, arrays, jnp.zeros((), jnp.int32))

  def trace(arrays: PyTree) -> None:
    lower(arrays)

  def running(state: TrainState) -> TrainState:
    return jax.device_put(
      split_replicas(experiment, state, num_replicas), over_replicas
    )

  def first_replica(state: TrainState, arrays: PyTree, num_steps: int):
    state, metrics, ok = run(state, arrays, jnp.asarray(num_steps, jnp.int32))
    return state, jax.tree.map(lambda m: m[0], metrics), ok[0]

  return Program(
    init=lambda seed: running(compiled_init(base_key(seed), pretrained)),
    run=first_replica,
    rerun=rerun,
    trace=trace,
    lower=lower,
    place=lambda arrays: jax.device_put(arrays, replicated),
    rows=None,
    whole=lambda state: merge_replicas(experiment, state),
    running=running,
    abstract=abstract,
    num_seeds=1,
    steps_per_call=steps_per_call,
    batch_devices=num_replicas,
  )
