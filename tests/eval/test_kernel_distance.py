"""The kernel distance against sums over single pairs and a closed form."""

import itertools

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from jgm.eval.kernel_distance import kernel_distance, polynomial_mmd2


@pytest.fixture
def rng():
  return np.random.default_rng(0)


def test_agrees_with_a_sum_over_pairs_of_sklearns_kernel(rng):
  features_1, features_2 = rng.normal(size=(7, 4)), rng.normal(size=(9, 4)) + 0.5
  kernel = lambda a, b: polynomial_kernel(a[None], b[None], degree=3, coef0=1)[0, 0]
  within = lambda x: np.mean([kernel(a, b) for a, b in itertools.permutations(x, 2)])
  across = np.mean([kernel(a, b) for a, b in itertools.product(features_1, features_2)])
  expected = within(features_1) + within(features_2) - 2 * across
  assert polynomial_mmd2(features_1, features_2) == pytest.approx(expected, rel=1e-12)


def test_closed_form_in_one_dimension():
  """E k(x, y) = sum_j C(3, j) E[x^j] E[y^j]: between +-1 coins and a point at zero."""
  rng = np.random.default_rng(1)
  coins = rng.choice([-1.0, 1.0], size=(4000, 1))
  # MMD^2 = 3 (0 - 0)^2 + 3 (1 - 0)^2 + (0 - 0)^2 in the moments of order 1, 2, 3.
  assert polynomial_mmd2(coins, np.zeros((4000, 1))) == pytest.approx(3.0, abs=0.02)


def test_unbiased_and_its_error_is_not_understated(rng):
  """Over 300 pairs of sets of one distribution the mean is zero within 4 errors."""
  found = [
    kernel_distance(rng.normal(size=(20, 3)), rng.normal(size=(30, 3)))
    for _ in range(300)
  ]
  values = np.array([f.value for f in found])
  assert abs(values.mean()) < 4 * values.std() / np.sqrt(len(values))
  claimed = np.sqrt(np.mean([f.standard_error**2 for f in found]))
  assert claimed > values.std()


def test_error_of_sets_that_differ_is_near_the_true_one(rng):
  found = [
    kernel_distance(
      rng.normal(size=(200, 3)), rng.normal(size=(200, 3)) + 1, num_blocks=10
    )
    for _ in range(200)
  ]
  true = np.std([f.value for f in found])
  claimed = np.sqrt(np.mean([f.standard_error**2 for f in found]))
  assert true * 0.9 < claimed < true * 2


def test_error_does_not_depend_on_the_order(rng):
  """Sets in the order of their classes have blocks that differ by more than chance."""
  features_1, features_2 = (
    rng.normal(size=(300, 4)) + 5 * np.repeat(np.eye(4)[:3], 100, axis=0)
    for _ in range(2)
  )
  ordered = kernel_distance(features_1, features_2)
  mixed = rng.permutation(300)
  shuffled = kernel_distance(features_1[mixed], features_2)
  assert shuffled.value == pytest.approx(ordered.value)
  assert ordered.standard_error < 5 * shuffled.standard_error
  assert shuffled.standard_error < 5 * ordered.standard_error


def test_symmetric_and_apart_for_sets_that_differ(rng):
  features_1, features_2 = rng.normal(size=(200, 8)), rng.normal(size=(240, 8)) + 2
  distance = kernel_distance(features_1, features_2)
  assert distance.value > 10 * distance.standard_error > 0
  assert kernel_distance(features_2, features_1).value == pytest.approx(distance.value)


def test_bad_features_are_refused(rng):
  with pytest.raises(ValueError, match="width: 3 and 4"):
    polynomial_mmd2(np.zeros((5, 3)), np.zeros((5, 4)))
  with pytest.raises(ValueError, match="2 features or more"):
    polynomial_mmd2(np.zeros((1, 3)), np.zeros((5, 3)))
  with pytest.raises(ValueError, match="5 blocks of 2 or more"):
    kernel_distance(np.zeros((9, 3)), np.zeros((50, 3)))
  with pytest.raises(ValueError, match="not finite"):
    kernel_distance(np.full((20, 3), np.nan), np.zeros((20, 3)))
