"""Sums over pixels, and values spread over them, as products.

One is the transpose of the other, so each is the other's gradient. What autodiff writes
for a broadcast is a sum down the columns, which XLA computes on a CPU several times
slower than the product with a row of ones; a product it turns back into a broadcast.
"""

import jax
import jax.numpy as jnp
from einops import rearrange
from jax import lax

Array = jax.Array


def pixel_sum(x: Array) -> Array:
  """The sum over pixels: [B, P, C] to [B, C]."""
  ones = jnp.ones((x.shape[0], 1, x.shape[1]), x.dtype)
  return _product(ones, x)[:, 0]


def spread(values: Array, x: Array) -> Array:
  """One value per example and channel at every pixel of x: [B, C] to [B, ..., C]."""
  batch, *pixels, _ = x.shape
  ones = jnp.ones((batch, x[0, ..., 0].size, 1), values.dtype)
  return _product(ones, values[:, None]).reshape(batch, *pixels, -1)


def doubled(x: Array) -> Array:
  """Each pixel of x [B, H, W, C] as 2 x 2 of them: [B, 2 H, 2 W, C]."""
  return x.repeat(2, axis=1).repeat(2, axis=2)


def add_bias(x: Array, bias: Array) -> Array:
  """x [..., C] plus the bias [C] of each channel, in x's dtype."""
  flat = rearrange(x, "... c -> 1 (...) c")
  return (flat + spread(bias.astype(x.dtype)[None], flat)).reshape(x.shape)


def _product(a: Array, b: Array) -> Array:
  dimensions = ((2,), (1,)), ((0,), (0,))
  # In full precision: these are sums, whatever the hardware's fast product rounds to.
  return lax.dot_general(a, b, dimensions, precision=lax.Precision.HIGHEST)
