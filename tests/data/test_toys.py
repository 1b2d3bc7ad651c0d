import jax
import numpy as np
import pytest
import scipy.spatial
import scipy.stats
import sklearn.datasets

from jgm.data import make_dataset
from jgm.data.toys import (
  checkerboard_log_density,
  draw_checkerboard,
  draw_moons,
  draw_rings,
  exact_log_density,
  exact_mixture,
)

N = 20_000


def draw(function, **options):
  x, label = jax.jit(lambda: function(jax.random.key(0), N, **options))()
  return np.asarray(x), np.asarray(label)


def test_moons_are_scikit_learns_around_the_origin():
  x, label = draw(draw_moons, noise=0.0)
  curve, which = sklearn.datasets.make_moons(4000, shuffle=False)
  curve = curve - np.array([0.5, 0.25])
  for moon in (0, 1):
    own = curve[which == moon]
    distances, _ = scipy.spatial.KDTree(own).query(x[label == moon])
    assert distances.max() < 1e-3  # neighbours on the curve are 1.6e-3 apart
  assert abs(label.mean() - 0.5) < 4 * 0.5 / np.sqrt(N)
  angle = np.arccos(np.clip(x[label == 0, 0] + 0.5, -1, 1)) / np.pi
  assert scipy.stats.kstest(angle, "uniform").statistic < 2.5 / np.sqrt(len(angle))


def test_rings_have_their_radii_and_all_angles():
  x, label = draw(draw_rings, noise=0.0)
  radius = np.linalg.norm(x, axis=1)
  np.testing.assert_allclose(radius, (label + 1) * 2 / 3, rtol=1e-5)
  assert scipy.stats.chisquare(np.bincount(label)).pvalue > 1e-5
  angle = np.arctan2(x[:, 1], x[:, 0]) / (2 * np.pi) + 0.5
  assert scipy.stats.kstest(angle, "uniform").statistic < 2.5 / np.sqrt(N)


@pytest.mark.parametrize("function", [draw_moons, draw_rings])
def test_noise_is_gaussian_of_the_given_size(function):
  noisy, _ = draw(function, noise=0.2)
  exact, _ = draw(function, noise=0.0)
  z = (noisy - exact).ravel() / 0.2
  assert scipy.stats.kstest(z, "norm").statistic < 2.5 / np.sqrt(len(z))


def test_the_checkerboard_is_uniform_on_the_dark_squares():
  x, label = draw(draw_checkerboard)
  square = np.floor(x).astype(int)
  assert square.min() == -2 and square.max() == 1
  assert np.all(square.sum(1) % 2 == 0)
  squares, counts = np.unique(square, axis=0, return_counts=True)
  assert len(squares) == 8 and scipy.stats.chisquare(counts).pvalue > 1e-5
  for which in range(8):  # a label is a square
    assert len(np.unique(square[label == which], axis=0)) == 1
  inside = (x - square).ravel()
  assert scipy.stats.kstest(inside, "uniform").statistic < 2.5 / np.sqrt(2 * N)


def test_the_checkerboard_has_its_density_on_the_dark_squares_alone():
  ticks = np.linspace(-2.5, 2.5, 401, dtype=np.float32)[:-1] + 0.00625  # no edges
  x = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
  density = np.exp(np.asarray(checkerboard_log_density(x)))
  np.testing.assert_allclose(density.sum() * 0.0125**2, 1, rtol=1e-5)
  dark = (np.floor(x).astype(int).sum(1) % 2 == 0) & (np.abs(x).max(1) < 2)
  np.testing.assert_array_equal(density > 0, dark)


@pytest.mark.parametrize("name", ["checkerboard", "gaussian_mixture"])
def test_where_the_density_is_known_held_out_points_have_it(name):
  data = make_dataset(name, batch_size=1, seed=0)
  log_density = np.asarray(exact_log_density(data)(data.split("test")["x"]))
  # Each point of the ring lies by one component alone: log 8 more than a Gaussian's.
  entropy = np.log(8)
  if name == "gaussian_mixture":
    entropy += 1 + np.log(2 * np.pi * 0.1**2)
  error = 4 * log_density.std() / np.sqrt(len(log_density)) + 1e-4
  assert abs(-log_density.mean() - entropy) < error


def test_the_dataset_says_which_mixture_it_is():
  def of(name, **options):
    return exact_mixture(make_dataset(name, batch_size=1, seed=0, **options))

  assert len(of("gaussian_mixture").means) == 8
  assert len(of("gaussian_mixture", arrangement="grid").means) == 25
  np.testing.assert_array_equal(
    of("gaussian_mixture", arrangement="pair").weights, np.float32([0.2, 0.8])
  )
  assert of("moons") is None and of("digits") is None
  moons = make_dataset("moons", batch_size=1, seed=0)
  assert exact_log_density(moons) is None
