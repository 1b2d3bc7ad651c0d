"""A batch cut into the batches of several steps."""

import einops
import jax

from jgm.core.experiment import Batch


def slices(batch: Batch, n: int) -> Batch:
  """The n smaller batches that `jgm.core.repeat` takes one after the other.

  Args:
    batch: leaves [n B, ...].
    n: how many.

  Returns:
    Leaves [n, B, ...]. Slice i has the rows i, i + n, i + 2 n, ...: of a batch that is
    spread over devices, each device's part is cut where it lies.

  Raises:
    ValueError: if n does not divide the number of rows.
  """
  num_rows = len(jax.tree.leaves(batch)[0])
  slice_size(num_rows, n)
  return jax.tree.map(lambda x: einops.rearrange(x, "(b n) ... -> n b ...", n=n), batch)


def shuffled_slices(batch: Batch, n: int, key: jax.Array) -> Batch:
  """`slices` of a batch whose rows are put into another order first.

  Args:
    batch: leaves [n B, ...].
    n: how many.
    key: typed key [], of the order.

  Returns:
    Leaves [n, B, ...]. Property: each row is in one slice, with all of its leaves.
  """
  num_rows = len(jax.tree.leaves(batch)[0])
  order = jax.random.permutation(key, num_rows)
  return slices(jax.tree.map(lambda x: x[order], batch), n)


def slice_size(batch_size: int, n: int, *, what: str = "n") -> int:
  """The rows of each of n slices of a batch.

  Args:
    batch_size: the rows of the batch.
    n: the number of slices.
    what: the name of n, for the message: "config.n_critic".

  Returns:
    batch_size / n.

  Raises:
    ValueError: if that is not a whole number.
  """
  if n < 1 or batch_size % n or batch_size < n:
    raise ValueError(
      f"a batch of {batch_size} cannot be cut into {what}={n} equal parts: make "
      f"config.data.batch_size a multiple of {what}"
    )
  return batch_size // n
