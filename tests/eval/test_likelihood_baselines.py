"""The likelihood of models without a network, against closed forms."""

import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest

from jgm.data import from_levels, make_dataset
from jgm.data.spec import DataSpec
from jgm.eval.likelihood_baselines import (
  histogram_bits_per_dim,
  make_likelihood_baselines,
  mixture_bits_per_dim,
)

COARSE = DataSpec(shape=(1, 2, 1), levels=3)
FINE = DataSpec(shape=(1, 2, 1), levels=256)


def images(levels, spec):
  return from_levels(np.asarray(levels).reshape(-1, *spec.shape), spec)


def test_a_histogram_by_hand():
  """Four images; pixel 0 is 0, 0, 0, 2 and pixel 1 is 1 always."""
  train = images([[0, 1], [0, 1], [0, 1], [2, 1]], COARSE)
  bits, _ = histogram_bits_per_dim(train, images([[0, 1], [1, 0]], COARSE), COARSE)
  masses = [3.5 / 5.5 * 4.5 / 5.5, 0.5 / 5.5 * 0.5 / 5.5]
  np.testing.assert_allclose(bits, [-math.log2(p) / 2 for p in masses], rtol=1e-6)


@pytest.mark.parametrize("num_train", [0, 7])
def test_a_histogram_is_a_distribution(num_train):
  train = images(np.random.default_rng(0).integers(3, size=(num_train, 2)), COARSE)
  every = images(list(itertools.product(range(3), repeat=2)), COARSE)
  bits, _ = histogram_bits_per_dim(train, every, COARSE)
  assert np.exp2(-2 * bits).sum() == pytest.approx(1.0, rel=1e-5)
  if not num_train:
    np.testing.assert_allclose(bits, math.log2(3), rtol=1e-6)


def gaussian_levels(centres, n, seed):
  """Grey levels of a mixture of correlated Gaussians, far from the ends."""
  random = np.random.default_rng(seed)
  mean = np.asarray(centres)[np.arange(n) % len(centres)]
  root = np.array([[10.0, 0.0], [6.0, 8.0]])
  return np.round(mean + random.standard_normal((n, 2)) @ root.T).astype(int)


@pytest.mark.parametrize("centres", [[[128, 128]], [[60, 60], [190, 190]]])
def test_a_mixture_of_gaussians_has_their_entropy(centres):
  """In levels: log2(2 pi e sqrt(det)) / 2 bits a dimension, and half for which one."""
  train, test = (
    images(gaussian_levels(centres, 4000, seed), FINE) for seed in range(2)
  )
  bits, note = mixture_bits_per_dim(train, test, FINE, seed=0, num_components=(1, 2))
  entropy = 0.5 * math.log2(2 * math.pi * math.e * 80) + 0.5 * math.log2(len(centres))
  error = float(np.std(bits)) / math.sqrt(len(bits))
  assert np.mean(bits) == pytest.approx(entropy, abs=4 * error + 0.02)
  assert note.startswith("2 ") or len(centres) == 1


def test_beside_a_likelihood_on_digits():
  data = make_dataset("digits", batch_size=8, seed=0)
  scalars = make_likelihood_baselines(data, num_examples=100, seed=0)
  found = scalars(None, None)
  assert list(found) == [
    "bits_per_dim_of_histogram",
    "bits_per_dim_of_gaussian_mixture",
  ]
  for scalar in found.values():
    assert scalar.ceiling == pytest.approx(math.log2(17))
    assert 2.0 < scalar.value < 3.2 and "100 held-out" in scalar.note
  assert scalars(None, None) is found  # fitted once


def test_large_images_have_no_mixture_and_points_nothing():
  spec = DataSpec(shape=(17, 17, 1), levels=4)
  x = jnp.full((5, *spec.shape), spec.low)
  data = make_dataset("digits", batch_size=8, seed=0)
  large = data._replace(spec=spec, split=lambda _: {"x": x})
  found = make_likelihood_baselines(large, num_examples=5, seed=0)(None, None)
  assert list(found) == ["bits_per_dim_of_histogram"]
  points = data._replace(spec=DataSpec(shape=(2,)))
  assert make_likelihood_baselines(points, num_examples=5, seed=0)(None, None) == {}
