"""What replicas do together: the identity wherever there are none."""

import jax

from jgm.core.state import Array, PyTree

DATA_AXIS = "data"  # the mesh axis, and the axis that pmap maps
MODEL_AXIS = "model"  # the mesh's other axis


def pmean(tree: PyTree) -> PyTree:
  """The mean over replicas under pmap; the identity elsewhere.

  A hand-written Step applies it to each estimate it makes from its batch. Under jit
  there is nothing to do: there the batch is the global one.

  Args:
    tree: arrays, of the same shapes on each replica.

  Returns:
    The same tree, averaged.
  """
  try:
    return jax.lax.pmean(tree, DATA_AXIS)
  except NameError:  # jax's answer where no such axis is mapped
    return tree


def shared_key(key: Array) -> Array:
  """A key that is the same on all replicas, made from a step's key.

  For draws that decide what replicas share: a codebook's restart, a line search. Split
  the step's key first and share one of the parts: replica 0 may use the others itself.

  Args:
    key: the key that the Step was given, typed [].

  Returns:
    Replica 0's key under pmap; `key` itself elsewhere.
  """
  try:
    data = jax.lax.all_gather(jax.random.key_data(key), DATA_AXIS)[0]
  except NameError:
    return key
  return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key))
