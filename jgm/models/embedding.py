"""Numbers as vectors that a network can read."""

import math

import chex
import jax
import jax.numpy as jnp

Array = jax.Array


def sinusoidal_embedding(
  t: Array, features: int, *, max_period: float = 10_000.0
) -> Array:
  """Sines and cosines of t at geometrically spaced frequencies.

  Args:
    t: [B], int or float.
    features: the length of the result, D; even.
    max_period: 2 pi times this is the longest period; the shortest is 2 pi.

  Returns:
    [B, D] float32 in [-1, 1]: first the sines, then the cosines. t = 0 gives zeros and
    ones.

  Raises:
    ValueError: where `features` is odd or less than 4.

  Reference: Vaswani et al. 2017, section 3.5. https://arxiv.org/abs/1706.03762
  """
  chex.assert_rank(t, 1)
  half, odd = divmod(features, 2)
  if odd or half < 2:
    raise ValueError(f"sinusoidal_embedding: {features} features, not even and >= 4")
  frequencies = jnp.exp(-math.log(max_period) * jnp.arange(half) / (half - 1))
  angles = t.astype(jnp.float32)[:, None] * frequencies[None]
  return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
