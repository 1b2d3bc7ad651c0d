"""The shapes of what a dataset gives to a call, where it may not be at hand."""

import jax

from jgm.core.experiment import Dataset
from jgm.core.state import PyTree


def shapes_of(data: Dataset | None, num_steps: int) -> PyTree:
  """The shapes of `data.arrays(0, num_steps)`, of all rows.

  Args:
    data: a dataset; None has no arrays, `{}`.
    num_steps: the steps of a call, K.

  Returns:
    Trees of `jax.ShapeDtypeStruct`. Only data that do not know theirs are read.

  Raises:
    DatasetError: if data that must be read are not prepared.
  """
  if data is None:
    return {}
  if data.shapes is not None:
    return data.shapes(num_steps)
  return jax.eval_shape(lambda tree: tree, data.arrays(0, num_steps))
