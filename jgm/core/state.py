"""The training state: everything that changes while training, as one pytree."""

from typing import Any

import flax.struct
import jax

Array = jax.Array
PyTree = Any


class TrainState(flax.struct.PyTreeNode):
  """All that a step reads and writes. Arrays only: no functions, never subclassed.

  With several players, `params`, `opt_state` and `model_state` are dicts with the
  same top-level keys, one per player.
  """

  # int32 [], outer steps taken; only the loop adds 1.
  step: Array
  # Typed threefry key [], never advanced: a step's key is fold_in(key, step).
  key: Array
  # What is trained.
  params: PyTree
  # The optimisers' states.
  opt_state: PyTree
  # What a forward pass changes: batch statistics, codebooks.
  model_state: PyTree
  # An average of `params` (or of one player's alone, in a dict), or None.
  ema_params: PyTree
  # What the method owns, a NamedTuple: a reference policy, chains, ...
  extra: PyTree


def new_state(
  key: Array,
  params: PyTree,
  opt_state: PyTree,
  *,
  model_state: PyTree = None,
  ema: bool | str = False,
  extra: PyTree = (),
) -> TrainState:
  """A state at step 0. Call it inside `jax.jit`, so that no two leaves share a buffer.

  Args:
    key: typed key []. The base key of every later step.
    params: what is trained.
    opt_state: `tx.init(params)`, or a dict of these by player.
    model_state: the other collections of the networks; None means there are none.
    ema: whether to keep an average of `params`, which starts as `params` itself; or
      the player whose parameters alone are averaged.
    extra: a NamedTuple of the method's own arrays.

  Returns:
    The TrainState.
  """
  averaged = {ema: params[ema]} if isinstance(ema, str) else params
  return TrainState(
    step=jax.numpy.zeros((), jax.numpy.int32),
    key=key,
    params=params,
    opt_state=opt_state,
    model_state={} if model_state is None else model_state,
    ema_params=jax.tree.map(jax.numpy.copy, averaged) if ema else None,
    extra=extra,
  )
