"""The shapes of what a dataset gives to a call, where it may not be at hand."""

import jax
import jax.numpy as jnp

from jgm.core.experiment import Dataset
from jgm.core.state import PyTree
from jgm.data import DatasetError, DataSpec


def abstract_arrays(data: Dataset | None, num_steps: int) -> PyTree:
  """The shapes of `data.arrays(0, num_steps)`.

  Args:
    data: a dataset, or None.
    num_steps: the steps of a call.

  Returns:
    Trees of `jax.ShapeDtypeStruct`. Of images that are not prepared here they follow
    from what is known of the dataset.

  Raises:
    DatasetError: if data that are not prepared here are no images.
  """
  if data is None:
    return {}
  try:
    arrays = data.arrays(0, num_steps)
  except DatasetError:
    if not isinstance(data.spec, DataSpec):
      raise
    return _image_arrays(data, data.spec, num_steps)
  return jax.eval_shape(lambda tree: tree, arrays)


def streamed_bytes(data: Dataset | None, arrays: PyTree) -> int:
  """The bytes of a call's arrays that grow with the batch: of data read ahead."""
  if data is None or data.batch_axis is None:
    return 0
  return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arrays))


def _image_arrays(data: Dataset, spec: DataSpec, num_steps: int) -> PyTree:
  whole = data.batch_axis is None
  leading = (spec.num_train,) if whole else (num_steps, data.batch_size)
  return {
    "image": jax.ShapeDtypeStruct((*leading, *spec.shape), jnp.uint8),
    "label": jax.ShapeDtypeStruct(leading, jnp.int32),
  }
