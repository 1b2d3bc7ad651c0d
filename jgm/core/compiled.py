"""Many training steps in one compiled call, which stops before one that goes wrong."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jgm.core.experiment import Batch, Metrics, Step
from jgm.core.finite import all_finite, must_be_finite
from jgm.core.state import Array, PyTree, TrainState

Advance = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
Call = Callable[[TrainState, PyTree, Array], tuple[TrainState, Metrics, Array]]


def make_advance(
  step: Step, fold_key: Callable[[Array], Array] | None = None
) -> Advance:
  """One whole training step: the step's key, the Step, and the step counter.

  Args:
    step: the experiment's Step.
    fold_key: makes a replica's key out of the step's key; None leaves it.

  Returns:
    (state, batch) -> (state, metrics).

  Raises:
    TypeError: when traced, if the Step changes the state's structure, a leaf's shape or
      dtype, or returns a metric that is not a scalar.
  """

  def advance(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    key = jax.random.fold_in(state.key, state.step)
    new_state, metrics = step(state, batch, key if fold_key is None else fold_key(key))
    new_state = new_state.replace(step=state.step + 1, key=state.key)
    _check_state(state, new_state)
    _check_metrics(metrics)
    return new_state, metrics

  return advance


def make_call(
  advance: Advance,
  batch: Callable[[PyTree, Array], Batch],
  *,
  steps_per_call: int,
  agree: Callable[[Array], Array] = lambda ok: ok,
  join: bool = True,
) -> Call:
  """A function that takes up to `steps_per_call` steps, to be compiled once.

  The trip count is an argument and not a constant, so a shorter call (before a step at
  which something is saved) is the same program, and so gives the same bits.

  Args:
    advance: one training step; under `num_seeds`, its vmap.
    batch: (arrays, step) -> the batch.
    steps_per_call: the greatest number of steps of a call, K.
    agree: makes all replicas agree on a bool [].
    join: see `all_finite`.

  Returns:
    (state, arrays, num_steps) -> (state, metrics with leaves [K, ...], ok). Where what
    is `guarded` is not finite after a step, `ok` is False and the state is the one
    before that step.
  """

  @jax.jit  # traced once, though it is used for its shapes and in the loop
  def advance_from(state: TrainState, arrays: PyTree) -> tuple[TrainState, Metrics]:
    return advance(state, batch(arrays, jnp.ravel(state.step)[0]))

  def call(state: TrainState, arrays: PyTree, num_steps: Array):
    _, metric_shapes = jax.eval_shape(advance_from, state, arrays)

    def unfinished(carry):
      index, ok, _, _ = carry
      return ok & (index < num_steps)

    def body(carry):
      index, _, state, rows = carry
      new_state, metrics = advance_from(state, arrays)
      ok = agree(all_finite(guarded(new_state, metrics), join=join))
      state = _choose(ok, new_state, state)
      rows = jax.tree.map(lambda row, m: row.at[index].set(m), rows, metrics)
      return index + 1, ok, state, rows

    rows = jax.tree.map(
      lambda m: jnp.zeros((steps_per_call, *m.shape), m.dtype), metric_shapes
    )
    start = (jnp.zeros((), jnp.int32), jnp.array(True), state, rows)
    _, ok, state, rows = jax.lax.while_loop(unfinished, body, start)
    return state, rows, ok

  return call


def guarded(state: TrainState, metrics: Metrics) -> PyTree:
  """What must be finite after each step.

  A method's own `extra` may hold infinities (masks, log weights), an optimiser may
  start from one, and a mean over no episodes is NaN; parameters and losses may not.

  Args:
    state: the state after the step.
    metrics: the step's.

  Returns:
    The parameters, their average, the model state, and all losses and gradient norms.
  """
  return {
    "params": state.params,
    "model_state": state.model_state,
    "ema_params": state.ema_params,
    "metrics": {n: value for n, value in metrics.items() if must_be_finite(n)},
  }


def _choose(ok: Array, new: TrainState, old: TrainState) -> TrainState:
  """`new` where `ok`, else `old`. The key is in both the same, and is not touched."""
  key = old.key
  # A branch and not a select for each leaf: a thousand of these are slow to compile.
  chosen = jax.lax.cond(
    ok,
    lambda new, old: new,
    lambda new, old: old,
    new.replace(key=None),
    old.replace(key=None),
  )
  return chosen.replace(key=key)


def _check_state(old: TrainState, new: TrainState) -> None:
  structures = [str(jax.tree.structure(state)) for state in (old, new)]
  if structures[0] != structures[1]:
    raise TypeError(
      "the step changed the state's structure from {} to {}".format(*structures)
    )
  for (path, a), b in zip(
    jax.tree_util.tree_leaves_with_path(old), jax.tree.leaves(new), strict=True
  ):
    if (a.shape, a.dtype) != (b.shape, b.dtype):
      name = jax.tree_util.keystr(path, simple=True, separator="/")
      raise TypeError(
        f"the step changed {name} from {a.dtype}{list(a.shape)} to "
        f"{b.dtype}{list(b.shape)}"
      )


def _check_metrics(metrics: Metrics) -> None:
  for name, value in metrics.items():
    if jnp.shape(value) != ():
      raise TypeError(f"metric {name!r} has shape {jnp.shape(value)}, not ()")
