"""The energy distance: against scipy on a line, and without bias."""

import numpy as np
import pytest
import scipy.stats

from jgm.eval.energy_distance import energy_distance


@pytest.fixture
def rng():
  return np.random.default_rng(0)


def biased(x, y):
  """With each point's distance of 0 to itself, by the definition."""
  mean = lambda a, b: np.linalg.norm(a[:, None] - b[None], axis=-1).mean()
  return 2 * mean(x, y) - mean(x, x) - mean(y, y)


def test_on_a_line_it_is_scipys_squared(rng):
  x, y = rng.normal(size=(30, 1)), 1 + 2 * rng.normal(size=(40, 1))
  squared = scipy.stats.energy_distance(x[:, 0], y[:, 0]) ** 2
  assert biased(x, y) == pytest.approx(squared)
  assert energy_distance(x, y, unbiased=False) == pytest.approx(squared)
  # What each set's distances to itself take away, they take from n (n - 1) pairs.
  spread = lambda a: np.abs(a - a.T).mean() / (len(a) - 1)
  assert energy_distance(x, y) == pytest.approx(squared - spread(x) - spread(y))


def test_a_known_value():
  """Two points each, in the plane: 2 (2 + sqrt(8)) / 2 - 2 - 2."""
  square = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
  assert energy_distance(square[:2], square[2:]) == pytest.approx(8**0.5 - 2)


def test_it_has_no_bias(rng):
  values = [energy_distance(*rng.normal(size=(2, 10, 2))) for _ in range(2000)]
  assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(2000)
  assert 0.3 < np.mean(np.array(values) < 0) < 0.7


def test_it_sees_what_mean_and_covariance_do_not(rng):
  """A circle and a Gaussian with its mean and covariance."""
  angle = rng.uniform(0, 2 * np.pi, 2000)
  circle = np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], 1)
  assert energy_distance(circle, rng.normal(size=(2000, 2))) > 0.03
  assert energy_distance(circle, circle[::-1]) < 0.005


def test_symmetric_unmoved_and_of_the_points_unit(rng):
  x, y = rng.normal(size=(1500, 3)), rng.normal(size=(1100, 3)) + 1  # several blocks
  distance = energy_distance(x, y)
  assert energy_distance(y, x) == pytest.approx(distance)
  assert energy_distance(3 * x + 100, 3 * y + 100) == pytest.approx(3 * distance)


def test_bad_points_are_refused():
  with pytest.raises(ValueError, match="2 points or more"):
    energy_distance(np.zeros((1, 2)), np.zeros((5, 2)))
  with pytest.raises(ValueError, match="differ in width: 2 and 3"):
    energy_distance(np.zeros((4, 2)), np.zeros((5, 3)))
  with pytest.raises(ValueError, match="not finite"):
    energy_distance(np.full((4, 2), np.nan), np.zeros((5, 2)))
