"""Group and batch normalisation, whose sums over pixels are products."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from einops import rearrange, reduce
from flax import linen as nn

from jgm.models.pixels import pixel_sum, spread

Array = jax.Array


def group_count(channels: int, *, most: int = 32) -> int:
  """The number of groups: at most `most`, each of at least four channels if it can be.

  Fewer channels per group would throw away what distinguishes them: with one per group
  the mean of every channel is lost.
  """
  return math.gcd(most, channels, max(channels // 4, 1))


class GroupNorm(nn.Module):
  """x with mean 0 and variance 1 over each group's channels and pixels, then an affine.

  Statistics are float32; the output has x's dtype. Equal to `flax.linen.GroupNorm`, but
  the pixels are summed first, which a CPU does faster.

  Reference: Wu & He 2018, eq. 7. https://arxiv.org/abs/1803.08494
  """

  groups: int | None = None
  epsilon: float = 1e-6

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Normalises x [B, ..., C]."""
    channels = x.shape[-1]
    groups = group_count(channels) if self.groups is None else self.groups
    if channels % groups:
      raise ValueError(f"GroupNorm: {groups} groups do not divide {channels} channels")
    scale = self.param("scale", nn.initializers.ones, (channels,), jnp.float32)
    bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)

    flat = rearrange(x.astype(jnp.float32), "b ... c -> b (...) c")
    num_pixels = flat.shape[1]
    mean = _group_mean(pixel_sum(flat) / num_pixels, groups)
    variance = _group_mean(pixel_sum(flat**2) / num_pixels, groups) - mean**2
    gain = scale[None] * jax.lax.rsqrt(jnp.maximum(variance, 0.0) + self.epsilon)
    shift = bias[None] - mean * gain
    y = flat * spread(gain, flat) + spread(shift, flat)
    return y.reshape(x.shape).astype(x.dtype)


class BatchNorm(nn.Module):
  """x with mean 0 and variance 1 in each channel over the batch, then an affine.

  In training the statistics are the batch's, and those in `batch_stats` move towards
  them by `1 - momentum`; otherwise those are used. All are float32. Equal to
  `flax.linen.BatchNorm`, its names included, but the sums are products, which a CPU
  does faster; so are their gradients.

  Reference: Ioffe & Szegedy 2015, algorithm 1. https://arxiv.org/abs/1502.03167
  """

  momentum: float = 0.9
  epsilon: float = 1e-5
  use_affine: bool = True  # whether a gain and a shift per channel are learned
  axis_name: str | None = None  # of the devices whose batches are one, under pmap
  dtype: Any = jnp.float32  # of the output

  @nn.compact
  def __call__(self, x: Array, train: bool = False) -> Array:
    """Normalises x [B, ..., C]; to move the statistics, `mutable=["batch_stats"]`."""
    flat = rearrange(x.astype(jnp.float32), "... c -> 1 (...) c")
    mean, variance = self._statistics(flat, train)
    gain, bias = jax.lax.rsqrt(variance + self.epsilon), jnp.zeros_like(mean)
    if self.use_affine:
      gain *= self.param("scale", nn.initializers.ones, gain.shape, jnp.float32)
      bias = self.param("bias", nn.initializers.zeros, gain.shape, jnp.float32)
    shift = bias - mean * gain
    y = flat * spread(gain[None], flat) + spread(shift[None], flat)
    return y.reshape(x.shape).astype(self.dtype)

  def _statistics(self, flat: Array, train: bool) -> tuple[Array, Array]:
    """The mean and the variance [C]: the batch's, which are stored, or the stored."""
    shape = flat.shape[-1:]
    mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
    variance = self.variable("batch_stats", "var", jnp.ones, shape)
    if not train or self.is_initializing():
      return mean.value, variance.value
    of_batch = self._of_batch(flat)
    for stored, new in zip((mean, variance), of_batch, strict=True):
      stored.value = self.momentum * stored.value + (1 - self.momentum) * new
    return of_batch

  def _of_batch(self, flat: Array) -> tuple[Array, Array]:
    """The mean and the variance [C] of [1, N, C], over all devices' N."""
    moments = jnp.concatenate([pixel_sum(flat), pixel_sum(flat**2)]) / flat.shape[1]
    if self.axis_name is not None:
      moments = jax.lax.pmean(moments, self.axis_name)
    mean, square = moments
    return mean, jnp.maximum(square - mean**2, 0.0)


def _group_mean(a: Array, groups: int) -> Array:
  """The mean of [B, C] over the channels of each group, once per channel."""
  channels = a.shape[-1]
  mean = reduce(a, "b (g c) -> b g", "mean", g=groups)
  return jnp.repeat(mean, channels // groups, axis=-1)
