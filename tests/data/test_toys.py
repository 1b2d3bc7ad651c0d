import jax
import numpy as np
import pytest
import scipy.spatial
import scipy.stats
import sklearn.datasets

from jgm.data.toys import draw_checkerboard, draw_moons, draw_rings

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
