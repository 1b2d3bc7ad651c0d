"""What the samplers' tests share: Gaussian data, whose best denoiser is linear."""

import jax.numpy as jnp
import numpy as np
import pytest

from jgm.noise import linear_beta_schedule, per_example

NUM_STEPS = 100


class GaussianData:
  """Data N(mean, covariance) under the linear schedule, T = 100."""

  schedule = linear_beta_schedule(NUM_STEPS)
  # the textbook's table, with one entry more: alpha_bar[-1] = 1, of clean data
  alpha_bar = np.append(np.cumprod(1 - np.linspace(1e-3, 0.2, NUM_STEPS)), 1.0)

  def __init__(self, mean, covariance):
    self.mean, self.covariance = np.asarray(mean), np.asarray(covariance)

  def gain(self, a):
    """G of the exact x_0_hat = mean + G (x_t - sqrt(a) mean), in float64."""
    noisy = a * self.covariance + (1 - a) * np.eye(len(self.mean))
    return np.sqrt(a) * self.covariance @ np.linalg.inv(noisy)

  def denoiser(self, x_t, t):
    """The exact E[x_0 | x_t]."""
    gains = np.stack([self.gain(a) for a in self.alpha_bar[:-1]])
    mean = jnp.asarray(self.mean, x_t.dtype)[None]
    centred = x_t - per_example(self.schedule.alpha(t), x_t) * mean
    return mean + jnp.einsum("bij,bj->bi", jnp.asarray(gains, x_t.dtype)[t], centred)

  def moments(self, pairs, step):
    """The mean and covariance of a sampler, by its own recursion in float64.

    `step(a_t, a_s)` gives the weights of x_t and x_0_hat, and the variance added.
    """
    mean, covariance = np.zeros_like(self.mean), np.eye(len(self.mean))
    for t, s in pairs:
      a_t, a_s = self.alpha_bar[t], self.alpha_bar[s]
      x_t_weight, x_0_weight, added = step(a_t, a_s)
      gain = self.gain(a_t)
      matrix = x_t_weight * np.eye(len(self.mean)) + x_0_weight * gain
      mean = matrix @ mean + x_0_weight * (self.mean - gain @ self.mean * np.sqrt(a_t))
      covariance = matrix @ covariance @ matrix.T + added * np.eye(len(self.mean))
    return mean, covariance


@pytest.fixture(scope="session")
def gaussian():
  return GaussianData([0.8, -0.5], [[0.5, 0.28], [0.28, 0.2]])


@pytest.fixture(scope="session")
def narrow_gaussian():
  return GaussianData([0.3], [[0.01]])


@pytest.fixture(scope="session")
def assert_moments():
  def check(samples, mean, covariance):
    """Within 4 standard errors, for samples [N, D] of a Gaussian."""
    n, variance = len(samples), np.diag(covariance)
    samples = np.asarray(samples, np.float64)
    error = np.abs(samples.mean(0) - mean) / np.sqrt(variance / n)
    assert np.all(error < 4), f"the mean is off by {error} standard errors"
    spread = np.sqrt((np.outer(variance, variance) + covariance**2) / n)
    error = np.abs(np.cov(samples.T).reshape(covariance.shape) - covariance) / spread
    assert np.all(error < 4), f"the covariance is off by {error} standard errors"

  return check
