"""Sliced: the closed form of a translation, and the mean of problems on a line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jgm.ot.sliced import sliced_wasserstein, sphere

NUM = 2000


@pytest.fixture
def cloud():
  return np.random.default_rng(0).normal(size=(6, 3)).astype("f")


def test_a_translation_by_v_costs_its_square_over_d(cloud, key):
  """Each direction u costs (u.v)^2, of variance 2 (d - 1) |v|^4 / (d^2 (d + 2))."""
  v = np.array([1.0, -2.0, 0.5], "f")
  square, d = float(v @ v), 3
  value = sliced_wasserstein(cloud, cloud + v, key=key, num_projections=NUM)
  sigma = square * np.sqrt(2 * (d - 1) / (d**2 * (d + 2)))
  assert abs(value - square / d) < 4 * sigma / np.sqrt(NUM)


def test_it_is_the_mean_over_directions(cloud, key):
  """Weighted, of unequal size: against scipy direction by direction."""
  x, y, a = cloud, cloud[:4] * 2.0, np.array([0.5, 0.0, 0.1, 0.1, 0.2, 0.1], "f")
  directions = np.asarray(sphere(jax.random.clone(key), 5, 3))
  value = sliced_wasserstein(x, y, a, key=key, num_projections=5, p=1)
  lines = [scipy.stats.wasserstein_distance(x @ u, y @ u, a) for u in directions]
  assert value == pytest.approx(np.mean(lines), rel=1e-5)


def test_directions_are_uniform_on_the_sphere(key):
  directions = np.asarray(sphere(key, NUM, 3))
  np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, rtol=1e-5)
  # A coordinate is uniform in [-1, 1] in three dimensions.
  assert scipy.stats.kstest(directions[:, 0], "uniform", (-1, 2)).pvalue > 1e-3


def test_equal_clouds_and_the_slope_towards_a_far_one(cloud, key):
  of_x = lambda x, y, key: sliced_wasserstein(x, y, key=key, num_projections=NUM)
  value_and_slope = jax.jit(jax.value_and_grad(of_x))
  value, slope = value_and_slope(cloud, cloud[::-1], jax.random.clone(key))
  # Rounding of coordinates of about 1, squared.
  assert value < 1e-12 and np.abs(slope).max() < 1e-6
  _, slope = value_and_slope(cloud, cloud + 10.0, key)
  # Of |v|^2 / d the slope is -2 v / (n d), here to the error of 2000 directions.
  np.testing.assert_allclose(slope.sum(axis=0), -2 * 10 / 3, rtol=0.1)


def test_bad_input_is_refused(cloud, key):
  cases = [
    ({"num_projections": 0}, "num_projections"),
    ({"p": 0.5}, "p must"),
    ({"a": np.ones(6)}, "sum 1"),
  ]
  for options, message in cases:
    with pytest.raises(ValueError, match=message):
      sliced_wasserstein(cloud, cloud, key=key, **options)
  with pytest.raises(ValueError, match="width"):
    sliced_wasserstein(cloud, jnp.zeros((4, 2)), key=key)
