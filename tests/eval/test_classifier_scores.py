"""Scores of class probabilities, at the ends of their ranges and against scipy."""

import numpy as np
import pytest
import scipy.stats

from jgm.eval.classifier_scores import (
  class_kl_from_uniform,
  class_shares,
  confident_share,
  inception_style_score,
  mean_confidence,
)


@pytest.fixture
def probabilities():
  return np.random.default_rng(0).dirichlet(np.full(4, 0.3), size=50)


def test_agree_with_scipy_on_random_probabilities(probabilities):
  shares = class_shares(probabilities)
  assert shares.sum() == pytest.approx(1)
  assert shares[2] == np.mean(probabilities.argmax(axis=1) == 2)
  expected = scipy.stats.entropy(shares, np.full(4, 0.25))
  assert class_kl_from_uniform(probabilities) == pytest.approx(expected)
  marginal = probabilities.mean(axis=0)
  score = np.exp(np.mean([scipy.stats.entropy(row, marginal) for row in probabilities]))
  assert inception_style_score(probabilities) == pytest.approx(score)


def test_sure_and_balanced_is_the_best():
  sure = np.tile(np.eye(5), (3, 1))
  assert inception_style_score(sure) == pytest.approx(5)
  assert class_kl_from_uniform(sure) == pytest.approx(0, abs=1e-12)
  assert confident_share(sure) == mean_confidence(sure) == 1


def test_one_class_is_the_worst():
  collapsed = np.tile(np.eye(5)[:1], (7, 1))
  assert inception_style_score(collapsed) == pytest.approx(1)
  assert class_kl_from_uniform(collapsed) == pytest.approx(np.log(5))
  np.testing.assert_array_equal(class_shares(collapsed), [1, 0, 0, 0, 0])


def test_unsure_samples_score_one_and_are_not_confident():
  unsure = np.full((6, 5), 0.2)
  assert inception_style_score(unsure) == pytest.approx(1)
  assert confident_share(unsure) == 0 and mean_confidence(unsure) == pytest.approx(0.2)


def test_the_threshold_is_exceeded_not_met():
  rows = np.array([[0.9, 0.1], [0.95, 0.05], [0.5, 0.5]])
  assert confident_share(rows) == pytest.approx(1 / 3)
  assert confident_share(rows, threshold=0.4) == 1


@pytest.mark.parametrize(
  "bad", [np.ones((3, 2)), np.array([[1.5, -0.5]]), np.full((2, 2), np.nan), np.ones(3)]
)
def test_what_is_no_distribution_is_refused(bad):
  with pytest.raises(ValueError, match="probabilities must be"):
    mean_confidence(bad)
