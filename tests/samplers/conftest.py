"""What the samplers' tests share: every path, and data whose best denoiser is known.

On Gaussian data that denoiser is linear, so that most samplers are a linear recursion,
which is followed here in float64, by the papers' formulas and not by the library's.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise
from jgm.data.gaussian_mixture import GaussianMixture

NUM_STEPS = 100  # of the discrete schedules


class Path:
  """A schedule, and its alpha, sigma, f and g^2 as the papers print them."""

  def __init__(self, schedule, alpha, sigma, drift, squared_diffusion):
    self.schedule, self.drift, self.squared_diffusion = (
      schedule,
      drift,
      squared_diffusion,
    )
    self._alpha, self._sigma = alpha, sigma

  def alpha(self, t):
    return 1.0 if t == noise.CLEAN else self._alpha(t)

  def sigma(self, t):
    return 0.0 if t == noise.CLEAN else self._sigma(t)


def make_paths():
  betas = np.linspace(1e-3, 0.2, NUM_STEPS)
  linear = np.cumprod(1 - betas)
  u = np.cos((np.arange(NUM_STEPS + 1) / NUM_STEPS + 0.008) / 1.008 * np.pi / 2) ** 2
  cosine_betas = np.minimum(1 - u[1:] / u[:-1], 0.999)
  cosine = np.cumprod(1 - cosine_betas)
  levels = np.append(0.05 * 200 ** (np.arange(NUM_STEPS) / (NUM_STEPS - 1)), 0.0)
  beta = lambda t: 0.1 + 19.9 * t
  signal = lambda t: np.exp(-0.25 * 19.9 * t**2 - 0.05 * t)
  ve = lambda t: 0.05 * 200**t
  chain = lambda table, betas: (
    lambda t: np.sqrt(table[t]),
    lambda t: np.sqrt(1 - table[t]),
    lambda t: 0.5 * np.log1p(-betas[t]),
    lambda t: -np.log1p(-betas[t]),
  )
  return {
    "linear": Path(noise.linear_beta_schedule(NUM_STEPS), *chain(linear, betas)),
    "cosine": Path(noise.cosine_schedule(NUM_STEPS), *chain(cosine, cosine_betas)),
    "geometric": Path(
      noise.geometric_schedule(NUM_STEPS, 0.05, 10.0),
      lambda t: 1.0,
      lambda t: levels[t],
      lambda t: 0.0,
      lambda t: levels[t] ** 2 - levels[t - 1] ** 2,
    ),
    "vp": Path(
      noise.vp_schedule(first=0.01),
      signal,
      lambda t: np.sqrt(1 - signal(t) ** 2),
      lambda t: -0.5 * beta(t),
      beta,
    ),
    "sub_vp": Path(
      noise.sub_vp_schedule(first=0.02),
      signal,
      lambda t: 1 - signal(t) ** 2,
      lambda t: -0.5 * beta(t),
      lambda t: beta(t) * (1 - signal(t) ** 4),
    ),
    "ve": Path(
      noise.ve_schedule(0.05, 10.0),
      lambda t: 1.0,
      ve,
      lambda t: 0.0,
      lambda t: 2 * np.log(200) * ve(t) ** 2,
    ),
    "rectified": Path(
      noise.rectified_schedule(first=0.05),
      lambda t: 1 - t,
      lambda t: t,
      lambda t: -1 / (1 - t),
      lambda t: 2 * t / (1 - t),
    ),
  }


PATHS = make_paths()


def pytest_generate_tests(metafunc):
  """A test that takes a `path` runs on every one."""
  if "path" in metafunc.fixturenames:
    metafunc.parametrize("path", list(PATHS.values()), ids=list(PATHS))


class GaussianData:
  """Data N(mean, covariance)."""

  def __init__(self, mean, covariance):
    self.mean, self.covariance = np.asarray(mean), np.asarray(covariance)
    self.values, self.vectors = np.linalg.eigh(self.covariance)

  def gain(self, alpha, sigma):
    """G of the exact x_0_hat = mean + G (x_t - alpha mean), in float64."""
    noisy = alpha**2 * self.covariance + sigma**2 * np.eye(len(self.mean))
    return alpha * self.covariance @ np.linalg.inv(noisy)

  def estimate(self, path, x, t):
    """The exact E[x_0 | x_t] of x [N, D] at one time, in float64."""
    gain = self.gain(path.alpha(t), path.sigma(t))
    return self.mean + (x - path.alpha(t) * self.mean) @ gain.T

  def denoiser(self, schedule):
    """The same in a program."""

    def denoiser(x_t, t):
      constant = lambda value: jnp.asarray(value, x_t.dtype)
      alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
      values, mean = constant(self.values)[None], constant(self.mean)[None]
      shrink = alpha * values / (alpha**2 * values + sigma**2)
      vectors = constant(self.vectors)
      centred = (x_t - alpha * mean).astype(x_t.dtype) @ vectors
      return mean + (shrink * centred).astype(x_t.dtype) @ vectors.T

    return denoiser

  def moments(self, path, pairs, step, start_std=1.0):
    """The mean and covariance of a sampler's output, by its recursion in float64.

    `step(path, t, s)` gives the weights of x_t and x_0_hat, and the variance added.
    """
    eye = np.eye(len(self.mean))
    mean, covariance = np.zeros_like(self.mean), start_std**2 * eye
    for t, s in pairs:
      x_t_weight, x_0_weight, added = step(path, t, s)
      gain = self.gain(path.alpha(t), path.sigma(t))
      matrix = x_t_weight * eye + x_0_weight * gain
      shift = self.mean - path.alpha(t) * gain @ self.mean
      mean = matrix @ mean + x_0_weight * shift
      covariance = matrix @ covariance @ matrix.T + added * eye
    return mean, covariance


@pytest.fixture(scope="session")
def paths():
  return PATHS


@pytest.fixture(scope="session")
def gaussian():
  return GaussianData([0.8, -0.5], [[0.5, 0.28], [0.28, 0.2]])


@pytest.fixture(scope="session")
def narrow_gaussian():
  return GaussianData([0.3], [[0.01]])


@pytest.fixture(scope="session")
def mixture():
  """Three modes in the plane, of unequal weights, in float64."""
  means = np.array([[1.0, 0.4], [-0.8, 0.9], [-0.2, -1.1]])
  return GaussianMixture(means, 0.35, np.array([0.5, 0.3, 0.2]))


@pytest.fixture(scope="session")
def mixture_denoiser():
  """(mixture, schedule) -> the exact E[x_0 | x_t], at pure noise too."""

  def make(mixture, schedule):
    def denoiser(x_t, t):
      constant = lambda value: jnp.asarray(value, x_t.dtype)
      alpha = constant(schedule.alpha(t))[:, None, None]
      sigma = constant(schedule.sigma(t))[:, None, None]
      means = constant(mixture.means)[None]
      variance = alpha**2 * mixture.scale**2 + sigma**2
      apart = x_t[:, None] - alpha * means  # [B, K, D]
      squared = jnp.sum(apart**2, axis=-1, keepdims=True)
      log_weights = constant(np.log(mixture.weights))[None, :, None]
      share = jax.nn.softmax(log_weights - 0.5 * squared / variance, axis=1)
      x_0 = means + alpha * mixture.scale**2 / variance * apart
      return jnp.sum(share * x_0, axis=1)

    return denoiser

  return make


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


@pytest.fixture
def check_recursion(gaussian, assert_moments, key):
  """Runs a sampler on 10,000 Gaussian samples, against its own recursion."""

  def check(sampler, path, pairs, step, **options):
    schedule = path.schedule
    key_x, key_walk = jax.random.split(key)
    start = noise.prior_scale(schedule)

    @jax.jit
    def sample(x_T, key):
      denoiser = gaussian.denoiser(schedule)
      return sampler(denoiser, schedule, x_T, key, timesteps=pairs, **options)

    samples = sample(start * jax.random.normal(key_x, (10_000, 2)), key_walk)
    assert_moments(samples, *gaussian.moments(path, pairs, step, start))

  return check


@pytest.fixture(scope="session")
def run_float64():
  """Runs a deterministic sampler in float64, compiled."""

  def run(sampler, denoiser, schedule, x_T, **options):
    with jax.enable_x64(True):
      walk = functools.partial(sampler, denoiser, schedule, **options)
      return np.asarray(jax.jit(walk)(jnp.asarray(x_T, jnp.float64)))

  return run
