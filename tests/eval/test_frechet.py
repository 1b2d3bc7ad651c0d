"""The Fréchet distance against closed forms and against scipy's general matrix root."""

import numpy as np
import pytest
import scipy.linalg
from scipy.stats import ortho_group

from jgm.eval.frechet import (
  Moments,
  feature_moments,
  frechet_distance,
  frechet_distance_of_moments,
)


@pytest.fixture
def rng():
  return np.random.default_rng(0)


def test_golden_value_of_two_isotropic_gaussians():
  distance = frechet_distance_of_moments(
    Moments(np.ones(3), 5 * np.eye(3)), Moments(np.full(3, 10.0), 3 * np.eye(3))
  )
  assert distance == pytest.approx(243.7621, abs=5e-5)
  assert distance == pytest.approx(3 * 81 + 3 * (5**0.5 - 3**0.5) ** 2, rel=1e-13)


def test_commuting_covariances_have_a_closed_form(rng):
  rotation = ortho_group.rvs(6, random_state=rng)
  values_1, values_2 = rng.gamma(1.0, size=(2, 6))
  distance = frechet_distance_of_moments(
    Moments(np.zeros(6), rotation * values_1 @ rotation.T),
    Moments(np.zeros(6), rotation * values_2 @ rotation.T),
  )
  expected = np.sum((np.sqrt(values_1) - np.sqrt(values_2)) ** 2)
  assert distance == pytest.approx(expected, rel=1e-10)


def test_general_covariances_agree_with_scipy_sqrtm(rng):
  features_1 = rng.normal(size=(40, 7)) @ rng.normal(size=(7, 7))
  features_2 = rng.normal(size=(50, 7)) @ rng.normal(size=(7, 7)) + 1.0
  covariance_1, covariance_2 = np.cov(features_1.T), np.cov(features_2.T)
  expected = (
    np.sum((features_1.mean(0) - features_2.mean(0)) ** 2)
    + np.trace(covariance_1 + covariance_2)
    - 2 * np.trace(scipy.linalg.sqrtm(covariance_1 @ covariance_2)).real
  )
  assert frechet_distance(features_1, features_2) == pytest.approx(expected, rel=1e-9)


def test_rank_deficient_sets_agree_with_the_gram_form(rng):
  """Fewer points than features: tr(C_1 C_2)^(1/2) is also a sum over N x M numbers."""
  features_1, features_2 = rng.normal(size=(5, 30)), rng.normal(size=(8, 30)) * 2
  mean_1, mean_2 = features_1.mean(0), features_2.mean(0)
  root_1 = (features_1 - mean_1) / 2.0  # sqrt(5 - 1)
  root_2 = (features_2 - mean_2) / np.sqrt(7.0)
  expected = (
    np.sum((mean_1 - mean_2) ** 2)
    + np.sum(root_1**2)
    + np.sum(root_2**2)
    - 2 * np.linalg.norm(root_1 @ root_2.T, "nuc")
  )
  assert frechet_distance(features_1, features_2) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [2, 20, 500])
def test_equal_sets_are_at_distance_zero(rng, n):
  features = 100 * rng.normal(size=(n, 64))
  assert 0 <= frechet_distance(features, features) < 1e-8


def test_symmetric_and_unchanged_by_a_common_rotation_and_shift(rng):
  features_1, features_2 = rng.normal(size=(30, 5)), 2 * rng.normal(size=(40, 5)) + 1
  rotation = ortho_group.rvs(5, random_state=rng)
  distance = frechet_distance(features_1, features_2)
  assert frechet_distance(features_2, features_1) == pytest.approx(distance, rel=1e-12)
  moved = frechet_distance(features_1 @ rotation + 7, features_2 @ rotation + 7)
  assert moved == pytest.approx(distance, rel=1e-10)


def test_constant_features_leave_the_distance_of_means():
  assert frechet_distance(np.zeros((4, 3)), np.ones((5, 3))) == pytest.approx(3.0)


def test_moments_are_those_of_numpy_in_float64(rng):
  features = rng.normal(size=(50, 4)).astype(np.float32) + 1000
  moments = feature_moments(features)
  assert moments.covariance.dtype == np.float64
  np.testing.assert_allclose(moments.covariance, np.cov(features.T.astype(np.float64)))


@pytest.mark.parametrize(
  ("features", "message"),
  [
    (np.zeros((3, 2, 2)), r"must be \[N, D\]"),
    (np.zeros((0, 2)), "not empty"),
    (np.zeros((1, 2)), "2 features or more"),
    (np.full((3, 2), np.nan), "not finite"),
    (np.array([[1.0, np.inf], [0, 0]]), "not finite"),
  ],
)
def test_bad_features_are_refused(features, message):
  with pytest.raises(ValueError, match=message):
    frechet_distance(features, np.zeros((3, 2)))


def test_moments_that_do_not_fit_are_refused():
  good = Moments(np.zeros(2), np.eye(2))
  with pytest.raises(ValueError, match="width: 2 and 3"):
    frechet_distance_of_moments(good, Moments(np.zeros(3), np.eye(3)))
  with pytest.raises(ValueError, match="not symmetric"):
    frechet_distance_of_moments(good, Moments(np.zeros(2), np.array([[1, 1], [0, 1]])))
  with pytest.raises(ValueError, match=r"\[D\] and \[D, D\]"):
    frechet_distance_of_moments(good, Moments(np.zeros(2), np.eye(3)))
