"""The bound on Gaussian data, against the divergence of two joint Gaussians.

With data N(m, P) and their exact denoiser, q(x_0 .. x_T) and p(x_0 .. x_T) are Gaussian
for any discrete schedule. Averaged over data, the bound is -KL(q || p) - H(x_0). Here
that is had from covariance matrices in float64, without a term of the bound.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.losses.diffusion import sampled_variational_bound, variational_bound
from jgm.noise import linear_beta_schedule, per_example, schedule_from_sigmas

MEAN, POWER, DIMENSIONS = 0.4, 0.5, 2
FRACTION = 0.7  # of the learned variance
SAMPLES = 20_000
BETAS = np.linspace(1e-4, 0.006, 10) * 1000 / 10
ALPHA_BAR = np.cumprod(1 - BETAS)
SIGMAS = np.geomspace(0.3, 4.0, 9)
CHAINS = {  # the schedule, and its alphas and sigmas by the papers' formulas
  "preserving": (
    linear_beta_schedule(10, 1e-4, 0.006),
    np.sqrt(ALPHA_BAR),
    np.sqrt(1 - ALPHA_BAR),
  ),
  "exploding": (schedule_from_sigmas(SIGMAS), np.ones(9), SIGMAS),
}


def gain(alpha, sigma):
  """x_0_hat = m + gain (x_t - alpha m), the mean of the posterior of x_0."""
  return POWER * alpha / (POWER * alpha**2 + sigma**2)


def joint_of_data(alphas, sigmas):
  """The mean and the covariance of x_0 and all x_t under q, of one dimension."""
  a, s = np.append(1.0, alphas), np.append(0.0, sigmas)
  earlier = np.minimum.outer(np.arange(len(a)), np.arange(len(a)))
  noise = np.outer(a, a) * (s**2 / a**2)[earlier]
  return a * MEAN, POWER * np.outer(a, a) + noise


def joint_of_model(alphas, sigmas, variance):
  """The same under p: each x is affine in the one after it, with noise of its own."""
  size = len(alphas) + 1
  mean, factor = np.zeros(size), np.zeros((size, size))
  factor[-1, -1] = np.sqrt(alphas[-1] ** 2 + sigmas[-1] ** 2)
  fraction = {"small": 0.0, "learned": FRACTION, "large": 1.0}[variance]
  for t in reversed(range(size - 1)):
    slope = gain(alphas[t], sigmas[t])
    shift = MEAN - slope * alphas[t] * MEAN
    large = sigmas[t] ** 2
    if t > 0:  # Bayes: x_t given x_{t-1}, times x_{t-1} given x_0
      ratio = alphas[t] / alphas[t - 1]
      large = sigmas[t] ** 2 - ratio**2 * sigmas[t - 1] ** 2
      small = 1 / (ratio**2 / large + 1 / sigmas[t - 1] ** 2)
      from_x_0 = small * alphas[t - 1] / sigmas[t - 1] ** 2
      slope = small * ratio / large + from_x_0 * slope
      shift = from_x_0 * shift
    elif variance == "large":  # the decoder's is the small one of t = 1, as that now is
      fraction = 0.0
    mean[t] = slope * mean[t + 1] + shift
    factor[t] = slope * factor[t + 1]
    factor[t, t] = np.sqrt(small ** (1 - fraction) * large**fraction)
  return mean, factor @ factor.T


def expected_bound(alphas, sigmas, variance):
  """-KL(q || p) - H(x_0), over all dimensions; and the entropy."""
  mean_q, q = joint_of_data(alphas, sigmas)
  mean_p, p = joint_of_model(alphas, sigmas, variance)
  apart = mean_q - mean_p
  inside = np.trace(np.linalg.solve(p, q)) + apart @ np.linalg.solve(p, apart)
  logs = np.linalg.slogdet(p)[1] - np.linalg.slogdet(q)[1]
  entropy = 0.5 * np.log(2 * np.pi * np.e * POWER)
  divergence = 0.5 * (inside - len(p) + logs)
  return -DIMENSIONS * (divergence + entropy), DIMENSIONS * entropy


def assert_mean(samples, wanted):
  """Within 4 standard errors, which are small beside it."""
  samples = np.asarray(samples, np.float64)
  standard_error = samples.std() / np.sqrt(len(samples))
  assert standard_error < 0.05 * abs(wanted)
  error = (samples.mean() - wanted) / standard_error
  assert abs(error) < 4, f"off by {error} standard errors"


@pytest.mark.parametrize("variance", ["small", "large", "learned"])
@pytest.mark.parametrize("name", CHAINS)
def test_the_bound_is_the_divergence_of_the_joints(name, variance, key):
  schedule, alphas, sigmas = CHAINS[name]

  def denoiser(x_t, t):
    alpha, sigma = (per_example(f(t), x_t) for f in (schedule.alpha, schedule.sigma))
    x_0_hat = MEAN + gain(alpha, sigma) * (x_t - alpha * MEAN)
    fraction = jnp.full_like(x_t, FRACTION)
    return (x_0_hat, fraction) if variance == "learned" else x_0_hat

  @jax.jit
  def both(key):
    key_x, key_exact, key_sampled = jax.random.split(key, 3)
    x_0 = MEAN + np.sqrt(POWER) * jax.random.normal(key_x, (SAMPLES, DIMENSIONS))
    options = {"levels": None, "variance": variance}
    return (
      variational_bound(denoiser, schedule, x_0, key_exact, **options),
      sampled_variational_bound(
        denoiser, schedule, x_0, key_sampled, num_samples=2, **options
      ),
    )

  bound, sampled = both(key)
  wanted, entropy = expected_bound(alphas, sigmas, variance)
  assert_mean(bound.log_prob, wanted)
  assert_mean(sampled, wanted)
  # at most the log-density, in expectation; how far below is the chain's coarseness
  assert wanted < -entropy - 0.01
  assert np.min(bound.prior) >= 0 and np.min(bound.steps) >= 0
