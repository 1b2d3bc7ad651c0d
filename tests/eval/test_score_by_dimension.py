"""The comparison of score-matching losses, on losses whose outcome is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from jgm.eval import score_by_dimension
from jgm.eval.score_by_dimension import (
  gaussian_covariance,
  make_score_by_dimension,
  measure,
  relative_error,
)
from jgm.models.mlp import MLP

SIGMA = 0.5
MODEL = MLP(features=32, num_layers=1)


def oracle(score, x, noise, key):
  """The distance to the true score of the noisy Gaussian in two dimensions."""
  precision = np.linalg.inv([[1 + SIGMA**2, 0.5], [0.5, 1 + SIGMA**2]])
  truth = -x @ jnp.asarray(precision, jnp.float32)
  return 100.0 * jnp.sum(jnp.square(score(x) - truth), axis=1)


def tells_nothing(score, x, noise, key):
  return 0.0 * jnp.sum(score(x), axis=1)


def denoising(score, x, noise, key):
  eps, sigma = noise
  return jnp.sum(jnp.square(score(x) + eps / sigma), axis=1)


@pytest.mark.parametrize(
  "loss, low, high",
  [(oracle, 0.0, 0.01), (tells_nothing, 0.999, 1.001), (denoising, 0.0, 0.1)],
)
def test_the_error_is_nothing_for_the_truth_and_one_for_zero(loss, low, high):
  found = measure("a", loss, MODEL, 2, SIGMA)
  assert low <= found.error <= high
  assert found.milliseconds > 0 and found.dimension == 2


def test_the_error_of_a_known_score():
  x = np.random.default_rng(0).normal(size=(5, 3))
  covariance = gaussian_covariance(3)
  np.testing.assert_array_equal(covariance[0], [1, 0.5, 0.25])
  truth = -x @ np.linalg.inv(covariance + 0.09 * np.eye(3))
  np.testing.assert_allclose(relative_error(1.2 * truth, x, covariance, 0.3), 0.04)


def test_numbers_and_pictures_are_of_one_measurement(monkeypatch):
  calls = []

  def fake(name, loss, model, dimension, *rest):
    calls.append((name, dimension))
    return score_by_dimension.Measured(name, dimension, 0.01 * dimension, 2.0)

  monkeypatch.setattr(score_by_dimension, "measure", fake)
  losses = {"slow": oracle, "fast": denoising}
  compared = make_score_by_dimension(losses, MODEL, (2, 8), sigma=SIGMA)
  assert calls == []
  scalars, pictures = compared.scalars(), compared.pictures()
  assert calls == [("slow", 2), ("fast", 2), ("slow", 8), ("fast", 8)]
  assert list(scalars) == [
    "error_in_8d_slow",
    "error_in_8d_fast",
    "ms_in_8d_slow",
    "ms_in_8d_fast",
  ]
  assert scalars["error_in_8d_slow"].value == 0.08
  assert {p.dtype for p in pictures.values()} == {np.dtype("uint8")}


def test_no_dimensions_compare_nothing():
  compared = make_score_by_dimension({"a": oracle}, MODEL, (), sigma=SIGMA)
  assert compared.scalars() == {} and compared.pictures() == {}
  with pytest.raises(ValueError, match="dimensions"):
    make_score_by_dimension({"a": oracle}, MODEL, (1, 2), sigma=SIGMA)
