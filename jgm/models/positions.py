"""Where a token stands: rotations of queries and keys, and biases of attention.

Learned and sinusoidal positions are vectors that are added to the tokens' own; see
`jgm.models.decoder` and `jgm.models.embedding`.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array

POSITIONS = ("learned", "sinusoidal", "rotary", "alibi")


def rotary_angles(
  positions: Array, features: int, *, max_period: float = 10_000.0
) -> Array:
  """The angle that each pair of features is turned by, in radians.

  Args:
    positions: [..., T] int.
    features: of a head, Dh; even.
    max_period: the frequencies are max_period ** (-2 i / Dh).

  Returns:
    [..., T, Dh / 2] float32, positions times frequencies.

  Raises:
    ValueError: where `features` is odd.

  Reference: Su et al. 2021, section 3.2.2. https://arxiv.org/abs/2104.09864
  """
  if features % 2:
    raise ValueError(f"rotary positions turn pairs of features: {features} is odd")
  exponents = np.arange(0, features, 2) / features
  frequencies = jnp.asarray(max_period**-exponents, jnp.float32)
  return jnp.tensordot(positions.astype(jnp.float32), frequencies, axes=0)


def rotate(x: Array, angles: Array) -> Array:
  """x with each pair of features turned by its angle: rotary positions.

  Feature i is paired with i + Dh / 2, as in the weights of LLaMA; the paper pairs
  neighbours, which is the same network with its features in another order.

  Args:
    x: [B, T, N, Dh] float. Queries or keys.
    angles: [B, T, Dh / 2], or [1, T, Dh / 2] where all rows have the same.

  Returns:
    [B, T, N, Dh] of x's dtype; computed in float32. Property: the scores of rotated
    queries and keys depend on the differences of their positions only.

  Reference: Su et al. 2021, eq. 34. https://arxiv.org/abs/2104.09864
  """
  chex.assert_rank([x, angles], [4, 3])
  cos, sin = jnp.cos(angles)[:, :, None], jnp.sin(angles)[:, :, None]
  a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  turned = jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
  return turned.astype(x.dtype)


def alibi_slopes(num_heads: int) -> np.ndarray:
  """2 ** (-8 i / N) for heads i = 1 to N: how much a head minds a distance of one.

  The paper's rule for any number of heads. Its code takes another one where N is not a
  power of two.

  Args:
    num_heads: N.

  Returns:
    [N] float32, a geometric sequence that ends at 1 / 256.

  Reference: Press, Smith & Lewis 2022, section 3. https://arxiv.org/abs/2108.12409
  """
  exponents = -8.0 * np.arange(1, num_heads + 1) / num_heads
  return np.asarray(2.0**exponents, np.float32)


def alibi_bias(query_columns: Array, key_columns: Array, num_heads: int) -> Array:
  """The slope of a head times (key's position - query's), to add to its scores.

  Args:
    query_columns: [T] int. Positions, or columns of a batch whose rows begin anywhere:
      only differences count.
    key_columns: [S] int.
    num_heads: N.

  Returns:
    [1, N, T, S] float32; zero where key and query are one, negative before.

  Reference: Press, Smith & Lewis 2022, section 3. https://arxiv.org/abs/2108.12409
  """
  chex.assert_rank([query_columns, key_columns], 1)
  distance = (key_columns[None] - query_columns[:, None]).astype(jnp.float32)
  slopes = jnp.asarray(alibi_slopes(num_heads))
  return slopes[None, :, None, None] * distance[None, None]
