"""Nearest neighbours against scikit-learn's, and whether copies are told from data."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from jgm.eval import neighbours
from jgm.eval.neighbours import copied_share, copying, nearest_neighbours


@pytest.fixture
def rng():
  return np.random.default_rng(0)


def test_agrees_with_sklearn_over_several_blocks(rng, monkeypatch):
  monkeypatch.setattr(neighbours, "CHUNK", 7)
  points, reference = rng.normal(size=(30, 5)) + 50, rng.normal(size=(41, 5)) + 50
  found = nearest_neighbours(points, reference, k=4)
  tree = NearestNeighbors(n_neighbors=4, algorithm="kd_tree").fit(reference)
  distances, indices = tree.kneighbors(points)
  np.testing.assert_allclose(found.distances, distances, rtol=1e-9)
  np.testing.assert_array_equal(found.indices, indices)


def test_without_itself_but_with_its_duplicate(rng, monkeypatch):
  monkeypatch.setattr(neighbours, "CHUNK", 4)
  points = rng.normal(size=(10, 3))
  points[9] = points[2]
  found = nearest_neighbours(points, points, exclude_self=True)
  distances = cdist(points, points)
  np.fill_diagonal(distances, np.inf)
  np.testing.assert_allclose(found.distances[:, 0], distances.min(axis=1), atol=1e-12)
  assert found.indices[2, 0] == 9 and found.indices[9, 0] == 2
  assert found.distances[2, 0] == 0.0


def test_equal_points_are_exactly_zero_apart(rng):
  points = 1e3 + rng.normal(size=(100, 64))
  found = nearest_neighbours(points[::-1], points)
  assert (found.distances == 0).all()
  np.testing.assert_array_equal(found.indices[:, 0], np.arange(100)[::-1])


def test_ks_distance_is_that_of_the_empirical_distributions(rng):
  samples, fresh = rng.gamma(2.0, size=40), rng.gamma(3.0, size=70)
  grid = np.concatenate([samples, fresh])
  cdf = lambda x: np.mean(x[None, :] <= grid[:, None], axis=1)
  found = copying(samples, fresh)
  assert found.ks_distance == pytest.approx(np.abs(cdf(samples) - cdf(fresh)).max())
  assert found.nearer == pytest.approx((cdf(samples) - cdf(fresh)).max())
  # Samples farther away than fresh data are no copies.
  assert copying(fresh + 10, fresh).nearer == 0.0
  assert copying(fresh + 10, fresh).ks_distance == 1.0


def test_replay_is_told_from_fresh_data(rng):
  train, fresh = rng.normal(size=(400, 8)), rng.normal(size=(300, 8))
  to_train = lambda x: nearest_neighbours(x, train).distances[:, 0]
  replay = copying(
    to_train(train[:300] + 1e-2 * rng.normal(size=(300, 8))), to_train(fresh)
  )
  assert replay.ks_distance > 0.95 and replay.near_share > 0.95
  honest = copying(to_train(rng.normal(size=(300, 8))), to_train(fresh))
  # 1.95 sqrt(2/300) is the two-sided 0.1% point of the Kolmogorov-Smirnov distance.
  assert honest.ks_distance < 1.95 * np.sqrt(2 / 300)
  assert honest.near_share < 0.01 + 4 * np.sqrt(2 * 0.01 / 300)


def test_copied_share_counts_images_within_half_a_grey_level(rng):
  train = rng.integers(0, 17, size=(10, 4, 4, 1)) / 8 - 1
  images = train.copy()
  images[0, 1, 2, 0] += 0.1
  images[1] += 0.05
  assert copied_share(images, train, tolerance=1 / 16) == pytest.approx(0.9)
  assert copied_share(images, train, tolerance=0.0) == pytest.approx(0.8)


def test_bad_input_is_refused():
  with pytest.raises(ValueError, match="width: 2 and 3"):
    nearest_neighbours(np.zeros((9, 2)), np.zeros((9, 3)))
  with pytest.raises(ValueError, match="3 neighbours asked of a set of 3"):
    nearest_neighbours(np.zeros((3, 2)), np.zeros((3, 2)), k=3, exclude_self=True)
  with pytest.raises(ValueError, match="not empty"):
    copying(np.zeros(0), np.zeros(3))
  with pytest.raises(ValueError, match="shapes differ"):
    copied_share(np.zeros((2, 3)), np.zeros((2, 4)), tolerance=0.0)
