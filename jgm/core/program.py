"""A compiled experiment, whichever the strategy, and what all strategies need."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax

from jgm.core.experiment import Batch, Experiment, Metrics
from jgm.core.state import Array, PyTree, TrainState

# For what runs once: a draw for each parameter is slow to compile, not to run.
RUN_ONCE = {"xla_backend_optimization_level": 0}


class Program(NamedTuple):
  """A compiled experiment.

  The running state is what a strategy keeps on the devices (under pmap, one replica
  each); the whole state is what is saved, evaluated and sampled from.
  """

  init: Callable[[int], PyTree]  # seed -> running state
  run: Callable[[PyTree, PyTree, int], tuple[PyTree, Metrics, Array]]  # donates
  rerun: Callable[[PyTree, PyTree], tuple[PyTree, Metrics]]  # one step, not guarded
  trace: Callable[[PyTree], None]  # of host arrays: what is wrong with the step raises
  lower: Callable[[PyTree], jax.stages.Lowered]  # of arrays' shapes: a call, to compile
  place: Callable[[PyTree], PyTree]  # the data's host arrays -> on the devices
  rows: list[int] | None  # of each batch that is read ahead, those that `place` takes
  whole: Callable[[PyTree], PyTree]  # running state -> whole state
  running: Callable[[PyTree], PyTree]  # whole state -> running state
  abstract: PyTree  # the whole state's shapes, dtypes and shardings
  num_seeds: int
  steps_per_call: int
  batch_devices: int  # over how many each batch is spread; 1: each has it whole
  options: Mapping[str, str] = {}  # with which XLA compiles a call


PURPOSES = ("train", "data", "evaluate", "sample")


def base_key(seed: int | Array, purpose: str = "train") -> Array:
  """The typed key [] of a seed, of one fixed kind: the kind decides every number.

  Args:
    seed: the seed.
    purpose: one of `PURPOSES`. Equal seeds of two purposes give unrelated draws: else
      a run of seed 0 would be evaluated with the very noise it was trained with.

  Returns:
    The key.
  """
  key = jax.random.key(seed, impl="threefry2x32")
  return jax.random.fold_in(key, PURPOSES.index(purpose))


def batch_at(experiment: Experiment, arrays: PyTree, step: Array) -> Batch:
  """The batch of a step; empty where the experiment has no data."""
  return {} if experiment.data is None else experiment.data.batch(arrays, step)


def abstract_state(
  init: Callable, key: Array, pretrained: Mapping[str, PyTree]
) -> TrainState:
  """The shapes and dtypes of the state that `init` makes; nothing is computed."""
  return jax.eval_shape(init, key, pretrained)


def with_shardings(shapes: PyTree, shardings: PyTree) -> PyTree:
  """Shapes that say where their arrays lie; one sharding, or a tree of them."""
  shapes = jax.eval_shape(lambda tree: tree, shapes)  # numpy's 64 bits are jax's 32
  if isinstance(shardings, jax.sharding.Sharding):
    shardings = jax.tree.map(lambda _: shardings, shapes)
  return jax.tree.map(
    lambda leaf, sharding: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=sharding
    ),
    shapes,
    shardings,
  )


def batched_leaves(experiment: Experiment, state: TrainState) -> TrainState:
  """The state's tree with True at leaves of `extra` that carry a batch axis."""
  none = jax.tree.map(lambda _: False, state)
  if experiment.batched_extra is None:
    return none
  return none.replace(extra=experiment.batched_extra(state.extra))
