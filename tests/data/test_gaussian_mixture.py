import jax
import numpy as np
import pytest
import scipy.stats

from jgm.data import gaussian_mixture
from jgm.data.gaussian_mixture import (
  GaussianMixture,
  gaussian_grid,
  gaussian_ring,
)

# One compilation for all noise levels: they are arguments.
mixture_log_density = jax.jit(gaussian_mixture.mixture_log_density)
mixture_score = jax.jit(gaussian_mixture.mixture_score)
mixture_sample = jax.jit(gaussian_mixture.mixture_sample, static_argnums=2)

UNEVEN = GaussianMixture(
  np.array([[-1.0, 0.5], [2.0, 0.0], [0.0, -1.5]], np.float32),
  0.3,
  np.array([0.5, 0.3, 0.2], np.float32),
)
LEVELS = [(1.0, 0.0), (0.8, 0.6), (0.1, 0.995), (0.0, 1.0), (1.0, 20.0)]
levels = pytest.mark.parametrize("alpha, sigma", LEVELS)


GRADIENT = jax.jit(
  jax.grad(lambda x, a, s: mixture_log_density(UNEVEN, x, alpha=a, sigma=s).sum())
)


def points(key, n=64):
  return jax.random.uniform(key, (n, 2), minval=-3.0, maxval=3.0)


@levels
def test_the_density_is_scipys(alpha, sigma, key):
  x = points(key)
  variance = (alpha * UNEVEN.scale) ** 2 + sigma**2
  expected = sum(
    weight * scipy.stats.multivariate_normal(alpha * mean, variance).pdf(x)
    for weight, mean in zip(UNEVEN.weights, UNEVEN.means, strict=True)
  )
  log_density = mixture_log_density(UNEVEN, x, alpha=alpha, sigma=sigma)
  np.testing.assert_allclose(log_density, np.log(expected), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("mixture", [UNEVEN, gaussian_ring(), gaussian_grid()])
@pytest.mark.parametrize("alpha, sigma", [(1.0, 0.0), (0.8, 0.6)])
def test_the_density_integrates_to_one(mixture, alpha, sigma):
  ticks = np.linspace(-5, 5, 401, dtype=np.float32)  # the trapezoid rule is exact here
  x = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
  log_density = mixture_log_density(mixture, x, alpha=alpha, sigma=sigma)
  mass = np.exp(np.asarray(log_density, np.float64)).sum() * (10 / 400) ** 2
  np.testing.assert_allclose(mass, 1.0, atol=2e-5)


@levels
def test_the_score_is_the_gradient_of_the_log_density(alpha, sigma, key):
  x = points(key)
  score = mixture_score(UNEVEN, x, alpha=alpha, sigma=sigma)
  np.testing.assert_allclose(score, GRADIENT(x, alpha, sigma), rtol=1e-4, atol=1e-4)


def test_noise_levels_may_differ_from_example_to_example(key):
  x = points(key, len(LEVELS))
  alpha, sigma = np.array(LEVELS, np.float32).T
  for function in (mixture_log_density, mixture_score):
    together = np.asarray(function(UNEVEN, x, alpha=alpha, sigma=sigma))
    each = np.asarray(x)
    for i, (a, s) in enumerate(LEVELS):
      alone = function(UNEVEN, each[i : i + 1], alpha=a, sigma=s)
      np.testing.assert_allclose(together[i], alone[0], rtol=1e-5, atol=1e-5)


def test_density_and_score_are_finite_far_away_and_when_components_are_points():
  x = np.array([[1e4, -1e4], [0.0, 0.0], [2.0, 0.0]], np.float32)
  for mixture in (UNEVEN, gaussian_grid(scale=1e-3)):
    assert np.isfinite(mixture_log_density(mixture, x)).all()
    assert np.isfinite(mixture_score(mixture, x)).all()


def test_a_point_set_has_a_density_once_there_is_noise(key):
  points_only = gaussian_grid(scale=0.0)
  assert np.isfinite(mixture_score(points_only, points(key), sigma=0.1)).all()


@pytest.mark.parametrize("mixture", [UNEVEN, gaussian_ring(), gaussian_grid()])
def test_samples_have_the_right_components_means_and_noise(mixture, key):
  n = 20_000
  x, component = mixture_sample(mixture, key, n)
  assert x.shape == (n, 2) and x.dtype == np.float32 and component.dtype == np.int32
  component = np.asarray(component)
  counts = np.bincount(component, minlength=len(mixture.means))
  share = np.asarray(mixture.weights, np.float64)
  assert scipy.stats.chisquare(counts, n * share / share.sum()).pvalue > 1e-5
  z = (np.asarray(x) - mixture.means[component]) / mixture.scale
  for axis in range(2):
    assert scipy.stats.kstest(z[:, axis], "norm").statistic < 2.5 / np.sqrt(n)
  assert abs(np.corrcoef(z.T)[0, 1]) < 4.5 / np.sqrt(n)


def test_the_samples_log_density_is_minus_the_entropy_of_the_quadrature(key):
  ticks = np.linspace(-5, 5, 401, dtype=np.float32)
  grid = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
  log_density = np.asarray(mixture_log_density(UNEVEN, grid), np.float64)
  expected = np.sum(np.exp(log_density) * log_density) * (10 / 400) ** 2
  x, _ = mixture_sample(UNEVEN, key, 20_000)
  sampled = np.asarray(mixture_log_density(UNEVEN, x))
  assert abs(sampled.mean() - expected) < 4 * sampled.std() / np.sqrt(20_000)


def test_the_arrangements():
  ring, grid = gaussian_ring(), gaussian_grid()
  np.testing.assert_allclose(np.linalg.norm(ring.means, axis=1), 2.0, rtol=1e-6)
  assert ring.means.shape == (8, 2) and grid.means.shape == (25, 2)
  assert {tuple(mean) for mean in grid.means} == {
    (float(x), float(y)) for x in range(-2, 3) for y in range(-2, 3)
  }


def test_points_of_another_dimension_are_refused():
  with pytest.raises(AssertionError, match="shape"):
    mixture_score(UNEVEN, np.zeros((4, 3), np.float32))
