"""Steps and the few combinators that build them: a closed algebra over TrainState.

A step maps (state, batch, key) to (state, metrics). It is the only thing the loop sees;
whatever the combinators below do not say, an experiment writes in plain Python.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jgm.core.collectives import pmean
from jgm.core.experiment import Aux, Batch, Metrics, Step
from jgm.core.finite import must_be_finite
from jgm.core.state import Array, PyTree, TrainState

Objective = Callable[[PyTree, TrainState, Batch, Array], tuple[Array, Aux]]


def gradient_step(
  objective: Objective,
  tx: optax.GradientTransformation,
  player: str | None = None,
) -> Step:
  """A step that follows the gradient of `objective` by the optimiser `tx`.

  Args:
    objective: (params, state, batch, key) -> (scalar, Aux). `params` is what is
      differentiated, one player's where there are players; `state` is context.
    tx: the optimiser. `state.opt_state` (the player's entry) is its state.
    player: the key in `params`, `opt_state` and `model_state` of what is trained; the
      other players' entries are not touched. None where there are no players.

  Returns:
    A Step. To the objective's metrics it adds `loss` and `gradient_norm` (before `tx`
    clips it), all prefixed with `player/`. Gradients, metrics and the floating-point
    leaves of the new `model_state` are averaged over replicas.
  """

  def step(state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    params = _entry(state.params, player)
    value_and_grad = jax.value_and_grad(objective, has_aux=True)
    (loss, aux), grads = value_and_grad(params, state, batch, key)
    grads = pmean(grads)
    opt_state = _entry(state.opt_state, player)
    updates, opt_state = tx.update(grads, opt_state, params)
    new = {
      "params": optax.apply_updates(params, updates),
      "opt_state": opt_state,
    }
    if aux.model_state is not None:
      new["model_state"] = jax.tree.map(_average_of_floats, aux.model_state)
    metrics = {"loss": loss, "gradient_norm": optax.tree.norm(grads), **aux.metrics}
    return _replace(state, player, new), pmean(_prefixed(metrics, player))

  return step


def repeat(step: Step, num_steps: int | None = None) -> Step:
  """A step that takes `step` many times: once for each slice of the batch.

  It cuts nothing. `jgm.data.slices.slices` has cut the batch before, each device's part
  of it where it lies.

  Args:
    step: the inner Step; its key is the outer key with the index folded in.
    num_steps: take it so many times on the whole batch, which may be empty (an
      experiment without data); None takes one step for each slice [B, ...] of a batch
      with leaves [n, B, ...].

  Returns:
    A Step whose metrics are averaged over the inner steps. NaN, the mean of what did
    not happen (no episode ended), is left out, but not of losses.

  Raises:
    ValueError: when traced, if the batch is empty and `num_steps` is None.
  """

  def repeated(state: TrainState, batch: Batch, key: Array):
    def body(state, indexed):
      index, rows = indexed
      inner_batch = rows if num_steps is None else batch
      return step(state, inner_batch, jax.random.fold_in(key, index))

    slices = batch if num_steps is None else None
    length = _num_slices(batch) if num_steps is None else num_steps
    state, metrics = jax.lax.scan(body, state, (jnp.arange(length), slices))
    return state, {name: _mean(name, rows) for name, rows in metrics.items()}

  return repeated


def with_ema(step: Step, decay: float, player: str | None = None) -> Step:
  """A step that also keeps `ema_params`, an exponential moving average of `params`.

  After n steps the decay is min(decay, (1 + n) / (10 + n)), so that an average over few
  steps is not mostly the initial values. Buffers and batch statistics are not averaged.

  Args:
    step: the Step to wrap; this wrapper goes outermost.
    decay: the decay of the average, in [0, 1).
    player: the one player whose parameters are averaged; None averages all there are.

  Returns:
    A Step. The state must have been made with `ema=True`, or with `ema=player`.

  Raises:
    ValueError: if `decay` is outside [0, 1).
  """
  if not 0 <= decay < 1:
    raise ValueError(f"the decay of an average is in [0, 1), not {decay}")

  def averaged(state: TrainState, batch: Batch, key: Array):
    new_state, metrics = step(state, batch, key)
    num_steps = state.step.astype(jnp.float32)
    weight = 1 - jnp.minimum(decay, (1 + num_steps) / (10 + num_steps))
    params = new_state.params
    ema_params = jax.tree.map(
      lambda ema, new: ema + weight.astype(ema.dtype) * (new - ema),
      state.ema_params,
      params if player is None else {player: params[player]},
    )
    return new_state.replace(ema_params=ema_params), metrics

  return averaged


def _entry(tree: PyTree, player: str | None) -> PyTree:
  return tree if player is None else tree[player]


def _replace(state: TrainState, player: str | None, new: Mapping[str, Any]):
  if player is None:
    return state.replace(**new)
  return state.replace(
    **{field: {**getattr(state, field), player: value} for field, value in new.items()}
  )


def _average_of_floats(leaf: Array) -> Array:
  # Statistics are estimates from a batch; counters are the same on all replicas.
  return pmean(leaf) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def _num_slices(batch: Batch) -> int:
  leaves = jax.tree.leaves(batch)
  if not leaves:
    raise ValueError("an empty batch has no slices: give `repeat` its num_steps")
  return leaves[0].shape[0]


def _mean(name: str, rows: Array) -> Array:
  mean = jnp.mean if must_be_finite(name) else jnp.nanmean
  return mean(rows, axis=0)


def _prefixed(metrics: Metrics, player: str | None) -> dict[str, Array]:
  if player is None:
    return dict(metrics)
  return {f"{player}/{name}": value for name, value in metrics.items()}
