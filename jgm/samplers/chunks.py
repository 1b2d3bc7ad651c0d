"""Many rows, a chunk at a time: memory is bounded, one program serves any number."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array
PyTree = Any


def in_chunks(
  draw: Callable[[Array, PyTree], PyTree], key: Array, rows: PyTree, *, size: int
) -> PyTree:
  """Calls `draw` on `size` of the rows at a time.

  Args:
    draw: (key [], rows with leaves [size, ...]) -> a pytree with leaves [size, ...].
    key: typed key []. Chunk i draws from fold_in(key, i).
    rows: a pytree with leaves [N, ...]: labels, images, ...
    size: the rows of a chunk; the last one is filled up, and cut off again.

  Returns:
    What `draw` gives, with leaves [N, ...].

  Raises:
    ValueError: if there are no rows or no size.
  """
  n = len(jax.tree.leaves(rows)[0])
  if n < 1 or size < 1:
    raise ValueError(f"{n} rows in chunks of {size}: both are at least 1")
  chunks = []
  for i in range(math.ceil(n / size)):
    indices = jnp.arange(i * size, (i + 1) * size) % n
    chunk = jax.tree.map(lambda leaf, indices=indices: leaf[indices], rows)
    chunks.append(draw(jax.random.fold_in(key, i), chunk))
  return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:n], *chunks)
