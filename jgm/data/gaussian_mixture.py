"""A Gaussian mixture whose density, score and samples are known at any noise level.

What a method learns of it can therefore be compared with the truth.
"""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jgm.core.state import Array


class GaussianMixture(NamedTuple):
  """A mixture of K Gaussians with one variance, the same in all directions."""

  means: Array | np.ndarray  # [K, D] float32
  scale: float  # the standard deviation of each component
  weights: Array | np.ndarray  # [K] float32, which sum to 1


def gaussian_ring(
  components: int = 8, *, radius: float = 2.0, scale: float = 0.1
) -> GaussianMixture:
  """Equally likely Gaussians at equal distances on a circle."""
  angles = np.arange(components) * (2 * math.pi / components)
  means = radius * np.stack([np.cos(angles), np.sin(angles)], 1)
  return _uniform_mixture(means, scale)


def gaussian_grid(
  side: int = 5, *, spacing: float = 1.0, scale: float = 0.05
) -> GaussianMixture:
  """Equally likely Gaussians on a square grid around the origin."""
  ticks = spacing * (np.arange(side) - (side - 1) / 2)
  means = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1).reshape(-1, 2)
  return _uniform_mixture(means, scale)


def gaussian_pair() -> GaussianMixture:
  """Two Gaussians of variance 1, far apart, one four times as likely as the other.

  Reference: Song & Ermon 2019, section 3.2. https://arxiv.org/abs/1907.05600
  """
  means = np.array([[-5.0, -5.0], [5.0, 5.0]], np.float32)
  return GaussianMixture(means, 1.0, np.array([0.2, 0.8], np.float32))


def _uniform_mixture(means: np.ndarray, scale: float) -> GaussianMixture:
  weights = np.full(len(means), 1 / len(means), np.float32)
  return GaussianMixture(means.astype(np.float32), scale, weights)


def mixture_sample(mixture: GaussianMixture, key: Array, n: int) -> tuple[Array, Array]:
  """Exact samples of the mixture, and the component that each came from.

  Args:
    mixture: the distribution.
    key: typed key [].
    n: the number of samples.

  Returns:
    [n, D] float32 and [n] int32.
  """
  key_component, key_noise = jax.random.split(key)
  component = jax.random.choice(
    key_component, len(mixture.means), (n,), p=jnp.asarray(mixture.weights)
  ).astype(jnp.int32)
  noise = jax.random.normal(key_noise, (n, mixture.means.shape[1]))
  return jnp.asarray(mixture.means)[component] + mixture.scale * noise, component


def mixture_log_density(
  mixture: GaussianMixture,
  x: Array,
  *,
  alpha: Array | float = 1.0,
  sigma: Array | float = 0.0,
) -> Array:
  """The log-density, in nats, of x_t = alpha x_0 + sigma eps for x_0 of the mixture.

  Args:
    mixture: the distribution of x_0.
    x: [B, D] float. Where.
    alpha: [] or [B] float. The factor of the signal; 1 for the mixture itself.
    sigma: [] or [B] float. The noise's standard deviation; 0 for the mixture itself.

  Returns:
    [B] float. Property: it integrates to 1 over x.
  """
  log_joint, variance = _log_joint(mixture, x, alpha, sigma)
  normaliser = 0.5 * x.shape[1] * jnp.log(2 * math.pi * variance)
  return jax.nn.logsumexp(log_joint, axis=1) - normaliser


def mixture_score(
  mixture: GaussianMixture,
  x: Array,
  *,
  alpha: Array | float = 1.0,
  sigma: Array | float = 0.0,
) -> Array:
  """The gradient of `mixture_log_density` with respect to x; arguments as there.

  Args:
    mixture: the distribution of x_0.
    x: [B, D] float.
    alpha: [] or [B] float.
    sigma: [] or [B] float.

  Returns:
    [B, D] float, (alpha E[mean of the component | x_t] - x_t) / variance.
  """
  log_joint, variance = _log_joint(mixture, x, alpha, sigma)
  posterior = jax.nn.softmax(log_joint, axis=1)
  mean = _column(alpha, x) * (posterior @ jnp.asarray(mixture.means))
  return (mean - x) / variance[:, None]


def _log_joint(
  mixture: GaussianMixture, x: Array, alpha: Array | float, sigma: Array | float
) -> tuple[Array, Array]:
  """log(weight * exp(-distance^2 / 2 variance)) [B, K], and the variance [B]."""
  chex.assert_shape(x, (None, mixture.means.shape[1]))
  alpha, sigma = _column(alpha, x), _column(sigma, x)
  means = alpha[:, :, None] * jnp.asarray(mixture.means)[None]
  squared_distance = jnp.sum((x[:, None] - means) ** 2, axis=-1)
  variance = (alpha * mixture.scale) ** 2 + sigma**2
  log_weights = jnp.log(jnp.asarray(mixture.weights))[None]
  return log_weights - 0.5 * squared_distance / variance, variance[:, 0]


def _column(value: Array | float, x: Array) -> Array:
  """A number, or one for each example, as [B, 1]."""
  return jnp.broadcast_to(jnp.asarray(value, x.dtype), x.shape[:1])[:, None]
