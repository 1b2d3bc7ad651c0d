"""Precision, recall, density and coverage, against loops over scipy's distances."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from jgm.eval import manifold
from jgm.eval.manifold import density_coverage, expected_coverage, precision_recall


@pytest.fixture
def rng():
  return np.random.default_rng(0)


def brute_radii(points, k):
  """Sorted with the point itself at place 0, so the k-th neighbour is at place k."""
  return [sorted(row)[k] for row in cdist(points, points)]


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_all_four_agree_with_loops(rng, monkeypatch, k, shift):
  monkeypatch.setattr(manifold, "CHUNK", 11)  # several blocks, the last one partial
  samples, data = rng.normal(size=(30, 2)) + shift, rng.normal(size=(25, 2))
  between = cdist(samples, data)
  data_radii, sample_radii = brute_radii(data, k), brute_radii(samples, k)
  n, m = between.shape
  held = [[between[i, j] <= data_radii[j] for j in range(m)] for i in range(n)]
  caught = [any(between[i, j] <= sample_radii[i] for i in range(n)) for j in range(m)]
  pair = precision_recall(samples, data, k=k)
  assert pair.precision == pytest.approx(sum(any(row) for row in held) / n)
  assert pair.recall == pytest.approx(sum(caught) / m)
  other = density_coverage(samples, data, k=k)
  assert other.density == pytest.approx(sum(map(sum, held)) / (k * n))
  covered = sum(any(held[i][j] for i in range(n)) for j in range(m))
  assert other.coverage == pytest.approx(covered / m)


def test_a_worked_example_on_a_line():
  """Data at 0, 1, 3 with k = 1: balls of radius 1, 1, 2, so [-1, 5] is covered."""
  data = np.array([[0.0], [1.0], [3.0]])
  samples = np.array([[-0.5], [4.9], [5.1], [5.2]])
  assert precision_recall(samples, data, k=1).precision == pytest.approx(2 / 4)
  assert density_coverage(samples, data, k=1).density == pytest.approx(2 / 4)
  assert density_coverage(samples, data, k=1).coverage == pytest.approx(2 / 3)


def test_equal_sets_score_one_and_far_sets_zero(rng):
  data = rng.normal(size=(40, 6))
  assert precision_recall(data, data) == (1.0, 1.0)
  assert density_coverage(data, data).coverage == 1.0
  assert precision_recall(data + 100, data) == (0.0, 0.0)
  assert density_coverage(data + 100, data) == (0.0, 0.0)


def test_exchanging_the_sets_exchanges_precision_and_recall(rng):
  samples, data = rng.normal(size=(40, 3)) * 0.5, rng.normal(size=(50, 3))
  assert precision_recall(samples, data) == precision_recall(data, samples)[::-1]


def test_dropped_modes_lower_recall_and_coverage_but_not_precision(rng):
  data = rng.normal(size=(100, 4)) + 10 * np.repeat(np.eye(4), 25, axis=0)
  samples = rng.normal(size=(100, 4)) + 10 * np.eye(4)[0]
  pair = precision_recall(samples, data)
  assert pair.precision > 0.5 > 0.35 > pair.recall
  assert density_coverage(samples, data).coverage < 0.3


def test_coverage_of_the_same_distribution_is_as_the_lemma_says(rng):
  """In any dimension and for any density; 4 standard errors over 40 repetitions."""
  found = [
    density_coverage(rng.gamma(1.0, size=(60, 2)), rng.gamma(1.0, size=(40, 2)))
    for _ in range(40)
  ]
  coverage = np.array([f.coverage for f in found])
  assert abs(coverage.mean() - expected_coverage(40, 60)) < 4 * coverage.std() / 40**0.5
  density = np.array([f.density for f in found])
  assert abs(density.mean() - 1) < 4 * density.std() / 40**0.5
  assert expected_coverage(10**6, 10**6) == pytest.approx(1 - 2**-5, abs=1e-5)


def test_duplicates_lie_in_balls_of_radius_zero(rng):
  data = np.repeat(rng.normal(size=(5, 3)) + 1e3, 8, axis=0)
  assert precision_recall(data, data) == (1.0, 1.0)
  assert precision_recall(data + 1e-3, data).precision == 0.0


def test_bad_features_are_refused():
  with pytest.raises(ValueError, match="width: 2 and 3"):
    precision_recall(np.zeros((9, 2)), np.zeros((9, 3)))
  with pytest.raises(ValueError, match="5 neighbours asked of a set of 5"):
    density_coverage(np.zeros((9, 2)), np.zeros((5, 2)))
