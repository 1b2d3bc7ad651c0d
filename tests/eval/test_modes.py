"""Modes of a known mixture: the known answers."""

import math

import jax
import numpy as np
import pytest

from jgm.data.gaussian_mixture import (
  GaussianMixture,
  gaussian_grid,
  gaussian_ring,
  mixture_sample,
)
from jgm.eval.modes import mode_coverage

N = 20_000
mixtures = pytest.mark.parametrize("mixture", [gaussian_ring(), gaussian_grid()])


def exact(mixture, n=N):
  x, component = mixture_sample(mixture, jax.random.key(0), n)
  return np.asarray(x), np.asarray(component)


@mixtures
def test_exact_samples_reach_all_modes(mixture):
  """8 of 8 and 25 of 25; 1 - exp(-9/2) within 3 sigma; a chi-squared's KL."""
  found = mode_coverage(exact(mixture)[0], mixture)
  k, good = len(mixture.means), 1 - math.exp(-4.5)
  assert found.covered == k
  assert abs(found.good_share - good) < 4 * math.sqrt(good * (1 - good) / N)
  assert found.shares.sum() == pytest.approx(found.good_share)
  # 2 N KL is about chi-squared with K - 1 degrees of freedom.
  assert abs(2 * N * found.kl_nats - (k - 1)) < 4 * math.sqrt(2 * (k - 1))


@mixtures
@pytest.mark.parametrize("dropped", [1, 2, 7])
def test_dropped_modes_are_missed(mixture, dropped):
  x, component = exact(mixture)
  k = len(mixture.means)
  found = mode_coverage(x[component >= dropped], mixture)
  assert found.covered == k - dropped
  assert found.kl_nats == pytest.approx(math.log(k / (k - dropped)), abs=5e-3)
  assert not found.shares[:dropped].any() and found.good_share > 0.98


def test_a_mode_counts_with_a_third_of_its_share():
  ring = gaussian_ring()
  for share, covered in ((0.30, 7), (0.37, 8)):
    counts = np.full(8, 1000)
    counts[0] = int(share * 1000)
    found = mode_coverage(np.repeat(ring.means, counts, axis=0), ring)
    assert found.covered == covered


def test_uneven_weights_are_the_modes_shares():
  means = np.array([[-1.0, 0.0], [1.0, 0.0]], np.float32)
  uneven = GaussianMixture(means, 0.05, np.array([0.9, 0.1], np.float32))
  found = mode_coverage(exact(uneven)[0], uneven)
  assert found.covered == 2 and found.kl_nats < 1e-3
  half = mode_coverage(np.repeat(means, 50, axis=0), uneven)
  expected = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
  assert half.kl_nats == pytest.approx(expected, rel=1e-5)


def test_points_between_the_modes_are_no_good():
  ring = gaussian_ring()
  found = mode_coverage(np.zeros((100, 2)), ring)
  assert found.covered == 0 and found.good_share == 0
  edge = ring.means[:1] + np.array([[0.299, 0.0], [0.301, 0.0]])
  assert mode_coverage(edge, ring).good_share == 0.5
  with pytest.raises(ValueError, match="not finite"):
    mode_coverage(np.full((3, 2), np.inf), ring)
