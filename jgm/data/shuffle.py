"""A shuffle without a permutation in memory: each index is computed, in O(1).

A Feistel network over pairs (left, right) is a bijection whatever its round function,
so the i-th example of an epoch is had from i, the seed and the epoch alone: nothing is
stored, any step can be begun at, and each process can compute its own rows.

Everything is arithmetic on uint32 arrays, which wrap around in the same way in numpy
and in XLA: the host and the device compute the same indices.

Reference: Black and Rogaway (2002), "Ciphers with arbitrary finite domains", sections 4
  (cycle walking) and 5 (the generalised Feistel network).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

ROUNDS = 8  # left and right are each changed four times

Uints = Any  # a uint32 array [R], of numpy or of jax


def batch_rows(batch_size: int) -> np.ndarray:
  """The numbers of all rows of a batch, [B] uint32."""
  return np.arange(batch_size, dtype=np.uint32)


def batch_indices(
  step: Any, rows: np.ndarray, *, batch_size: int, num_examples: int, seed: int
) -> Any:
  """Which examples are in the batch of a step.

  An epoch is `num_examples // batch_size` steps and has its own order; the examples
  left over, others in each epoch, are dropped. A batch that is larger than the dataset
  holds all examples once, then once more in another order, and so on.

  Args:
    step: int32 [], traced or not, or an int: then all is computed on the host. Or [R],
      a step for each row.
    rows: [R] uint32, which of the rows 0 .. batch_size - 1 to compute; `batch_rows`
      for all of them. No row depends on which others are asked for.
    batch_size: the global batch size, B.
    num_examples: the number of examples, N.
    seed: any int; its lowest 32 bits are used.

  Returns:
    [R] int32 in 0 .. N-1; a jax array where `step` is one, else a numpy array.
    Property: the same on the host, under jit, and for any number of devices.

  Raises:
    ValueError: if `batch_size` or `num_examples` is less than 1.
  """
  if batch_size < 1 or num_examples < 1:
    raise ValueError(
      f"a batch of {batch_size} out of {num_examples} examples: both are at least 1"
    )
  step, rows = _uints(step, rows)
  if batch_size <= num_examples:
    steps_per_epoch = np.uint32(num_examples // batch_size)
    epoch = step // steps_per_epoch
    position = step % steps_per_epoch * np.uint32(batch_size) + rows
  else:
    epochs_per_batch = np.uint32(math.ceil(batch_size / num_examples))
    epoch = step * epochs_per_batch + rows // np.uint32(num_examples)
    position = rows % np.uint32(num_examples)
  return _permute(position, hash_uint32(epoch, seed), num_examples).astype(np.int32)


def random_bits(step: Any, rows: np.ndarray, *, seed: int, stream: int) -> Any:
  """32 random bits for each row of the batch of a step, on the host or the device.

  Args:
    step: as in `batch_indices`.
    rows: [R] uint32, as in `batch_indices`.
    seed: any int.
    stream: tells draws for different purposes apart.

  Returns:
    [R] uint32; a jax array where `step` is one, else a numpy array.
  """
  step, rows = _uints(step, rows)
  return hash_uint32(rows + hash_uint32(step, seed + stream * 0x9E3779B9), seed)


def hash_uint32(x: Uints, seed: int) -> Uints:
  """A bijection of the 32-bit numbers that looks random, chosen by the seed.

  The mixing is Wellons' `lowbias32`: a change of one bit of x changes each bit of the
  result with a probability within 0.1% of one half.
  """
  x = x ^ np.uint32(seed * 0x9E3779B9 + 0x7F4A7C15 & 0xFFFFFFFF)
  x = (x ^ (x >> np.uint32(16))) * np.uint32(0x21F0AAAD)
  x = (x ^ (x >> np.uint32(15))) * np.uint32(0x735A2D97)
  return x ^ (x >> np.uint32(15))


def _uints(step: Any, rows: np.ndarray) -> tuple[Uints, Uints]:
  """The step and the rows as uint32 [R]; numpy warns where scalars wrap around."""
  xp: Any = jnp if isinstance(step, jax.Array) else np
  rows = xp.asarray(rows, np.uint32)
  return xp.broadcast_to(xp.asarray(step).astype(np.uint32), rows.shape), rows


def _permute(position: Uints, epoch_key: Uints, size: int) -> Uints:
  """The image of a position < size under the epoch's permutation, [R].

  The network permutes 0 .. a*b-1, a little more than asked for. Where it leaves
  0 .. size-1 it is applied again until it comes back ("cycle walking").
  """
  a = max(1, math.isqrt(size - 1) + 1)  # the ceiling of the square root
  b = -(-size // a)

  def walk(x: Uints) -> Uints:
    xp: Any = jnp if isinstance(x, jax.Array) else np
    return xp.where(x >= np.uint32(size), _feistel(x, epoch_key, a, b), x)

  x = _feistel(position, epoch_key, a, b)
  if isinstance(x, jax.Array):
    return jax.lax.while_loop(lambda x: jnp.any(x >= np.uint32(size)), walk, x)
  while np.any(x >= size):
    x = walk(x)
  return x


def _feistel(x: Uints, key: Uints, a: int, b: int) -> Uints:
  left, right = x // np.uint32(b), x % np.uint32(b)
  for index in range(ROUNDS):
    if index % 2 == 0:
      left = (left + _round(right, key, index) % np.uint32(a)) % np.uint32(a)
    else:
      right = (right + _round(left, key, index) % np.uint32(b)) % np.uint32(b)
  return left * np.uint32(b) + right


def _round(x: Uints, key: Uints, index: int) -> Uints:
  return hash_uint32(hash_uint32(x, index + 1) ^ key, 0x5EED + index)
