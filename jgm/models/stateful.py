"""Networks that change in a forward pass, as pure functions of (params, model_state).

Batch statistics and the vectors of spectral normalisation are what changes. A network
that has neither has an empty model state, and is called in the same way.
"""

from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn

Array = jax.Array
PyTree = Any

# (params, model_state, *inputs, train) -> (output, model_state)
Apply = Callable[..., tuple[Any, PyTree]]


def stateful(model: nn.Module) -> Apply:
  """A network as (params, model_state, *inputs, train) -> (output, model_state).

  Args:
    model: a flax network whose `__call__` takes the keyword `train`.

  Returns:
    The function. With `train=True` the model state that it returns is new, else it is
    the one that was given.
  """

  def apply(params: PyTree, model_state: PyTree, *inputs: Any, train: bool):
    variables = {"params": params, **model_state}
    if not train:
      return model.apply(variables, *inputs, train=False), model_state
    return model.apply(variables, *inputs, train=True, mutable=list(model_state))

  return apply


def init_stateful(model: nn.Module, key: Array, *inputs: Any) -> tuple[PyTree, PyTree]:
  """The first parameters and the first model state of a network.

  Args:
    model: a flax network.
    key: typed key [].
    *inputs: examples of its inputs.

  Returns:
    (params, model_state), where model_state is {} or {"batch_stats": ...}.
  """
  variables = dict(model.init(key, *inputs))
  return variables.pop("params"), variables
