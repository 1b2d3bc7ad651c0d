"""Gaussian likelihoods and divergences, also of Gaussians cut into grey levels."""

import math

import chex
import jax
import jax.numpy as jnp

Array = jax.Array

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
NARROW = 0.01  # half a bin, in standard deviations, below which its mass is a density
TAIL = 10.0  # standard deviations from which the normal tail is summed as a series


def gaussian_kl(
  mean_1: Array, log_variance_1: Array, mean_2: Array, log_variance_2: Array
) -> Array:
  """KL(N(mean_1, variance_1) || N(mean_2, variance_2)) per example, in nats.

  Args:
    mean_1: [B, ...] float.
    log_variance_1: [B, ...] or [], of the independent dimensions.
    mean_2: [B, ...] float.
    log_variance_2: [B, ...] or [].

  Returns:
    [B] float >= 0, the sum over all axes but the first; zero iff the Gaussians agree.

  Reference: Kingma & Welling 2014, appendix B. https://arxiv.org/abs/1312.6114
  """
  chex.assert_equal_shape([mean_1, mean_2])
  difference = log_variance_1 - log_variance_2
  distance = jnp.square(mean_1 - mean_2) * jnp.exp(-log_variance_2)
  # expm1: near zero, exp(d) - 1 - d would be the difference of large numbers
  divergence = 0.5 * (jnp.expm1(difference) - difference + distance)
  return jnp.sum(divergence, axis=_dimensions(mean_1))


def gaussian_log_prob(x: Array, mean: Array, log_variance: Array) -> Array:
  """log N(x; mean, variance) per example, in nats: a density.

  Args:
    x: [B, ...] float.
    mean: [B, ...] float.
    log_variance: [B, ...] or [], of the independent dimensions.

  Returns:
    [B] float, the sum over all axes but the first. Property: at the mean, minus half
    the sum of log(2 pi variance).
  """
  chex.assert_equal_shape([x, mean])
  distance = jnp.square(x - mean) * jnp.exp(-log_variance)
  log_density = -0.5 * (distance + log_variance) - LOG_SQRT_2PI
  return jnp.sum(log_density, axis=_dimensions(x))


def discretised_gaussian_log_prob(
  x: Array,
  mean: Array,
  log_variance: Array,
  *,
  levels: int,
  low: float = -1.0,
  high: float = 1.0,
) -> Array:
  """log P of grey levels under a Gaussian cut into bins, per example, in nats.

  Args:
    x: [B, ...] float, each the middle of a bin: low + k (high - low) / (levels - 1).
    mean: [B, ...] float.
    log_variance: [B, ...] or [], of the independent dimensions.
    levels: the number of grey levels, at least 2.
    low: the value of level 0, whose bin reaches down to -inf.
    high: the value of level levels - 1, whose bin reaches up to +inf.

  Returns:
    [B] float <= 0, the sum over all axes but the first. Property: exp of it sums to 1
    over all levels, wherever the mean and however large the variance.

  Raises:
    ValueError: if levels < 2 or not low < high.

  Reference: Ho, Jain, Abbeel 2020, eq. 13. https://arxiv.org/abs/2006.11239
  """
  if levels < 2 or not low < high:
    raise ValueError(f"no bins: levels={levels}, low={low}, high={high}")
  chex.assert_equal_shape([x, mean])
  half = 0.5 * (high - low) / (levels - 1)
  inverse_std = jnp.exp(-0.5 * log_variance)
  distance, half_bin = (x - mean) * inverse_std, half * inverse_std
  log_mass = jnp.where(
    x < low + half,
    normal_log_cdf(half_bin + distance),
    jnp.where(
      x > high - half,
      normal_log_cdf(half_bin - distance),
      _log_bin_mass(distance, jnp.broadcast_to(half_bin, x.shape)),
    ),
  )
  return jnp.sum(log_mass, axis=_dimensions(x))


def normal_log_cdf(x: Array) -> Array:
  """log of the standard normal distribution function, in nats, for any x.

  Unlike jax's own, its gradient is finite far out in the tail.

  Args:
    x: [...] float.

  Returns:
    [...] float <= 0. Property: about -x^2 / 2 - log(-x) for x far below zero.

  Reference: Abramowitz & Stegun 1964, 26.2.12.
  """
  z = jnp.maximum(-x, TAIL)
  y = 1.0 / jnp.square(z)
  series = jnp.log1p(-y * (1.0 - y * (3.0 - y * (15.0 - y * 105.0))))
  tail = -0.5 * jnp.square(z) - jnp.log(z) - LOG_SQRT_2PI + series
  body = jax.scipy.special.log_ndtr(jnp.maximum(x, -TAIL))
  return jnp.where(x < -TAIL, tail, body)


def _log_bin_mass(distance: Array, half_bin: Array) -> Array:
  """log of the standard normal mass of [distance - half_bin, distance + half_bin].

  The difference of two distribution functions cancels where the bin is narrow, and
  underflows in the tail: both are taken where they do neither. Each branch gets only
  arguments that it can bear, so that the other's gradient is finite too.
  """
  distance = jnp.abs(distance)  # the lower tail: log_cdf of an upper one says nothing
  wide = jnp.maximum(half_bin, NARROW)
  upper = normal_log_cdf(wide - distance)
  # the log of the tail falls as steeply as -z^2 / 2 at least; rounding may hide it
  gap = jnp.maximum(upper - normal_log_cdf(-wide - distance), 2.0 * wide * distance)
  wide_mass = upper + jnp.log(-jnp.expm1(-gap))

  # the integral of exp(-distance u) over the bin: there, exp(-u^2 / 2) is 1
  narrow = jnp.minimum(half_bin, NARROW)
  slope = 2.0 * jnp.maximum(distance * narrow, 1e-6)
  integral = 0.5 * slope + jnp.log(-jnp.expm1(-slope) / slope) + jnp.log(2.0 * narrow)
  density = -0.5 * jnp.square(distance) - LOG_SQRT_2PI
  return jnp.where(half_bin < NARROW, density + integral, wide_mass)


def _dimensions(x: Array) -> tuple[int, ...]:
  return tuple(range(1, x.ndim))
