"""A collapse seen inside the step: the same answer as the evaluation's, and cheap."""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.data.gaussian_mixture import (
  GaussianMixture,
  gaussian_grid,
  gaussian_pair,
  gaussian_ring,
  mixture_sample,
)
from jgm.eval.collapse import diversity, least_counts, modes_reached
from jgm.eval.modes import LEAST_SHARE, mode_coverage

MIXTURES = [gaussian_ring(), gaussian_grid(), gaussian_pair()]


@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("spread", [0.0, 1.0, 6.0])
def test_it_is_the_number_of_the_evaluation(mixture, spread):
  """At many sizes: exact samples, with a part thrown about so that modes are lost."""
  reached = jax.jit(functools.partial(modes_reached, mixture=mixture))
  rng, means, seen = np.random.default_rng(0), np.asarray(mixture.means), set()
  for n in (24, 75, 200):
    component = rng.choice(len(means), n, p=mixture.weights)
    x = means[component] + mixture.scale * rng.normal(size=(n, 2))
    x = (x * (1 + 0.02 * spread * rng.normal(size=(n, 1)))).astype(np.float32)
    expected = mode_coverage(x, mixture).covered
    assert float(reached(x)) == expected
    seen.add(expected)
  assert spread < 6 or len(seen) > 1 or len(means) == 2


@pytest.mark.parametrize("mixture", MIXTURES)
def test_the_least_count_is_where_the_evaluation_begins_to_count(mixture):
  """To the sample, where a third of a share is a whole number of samples, too."""
  for n in (24, 75, 150, 600):
    for k in range(len(mixture.means)):
      least = int(least_counts(mixture, n)[k])
      at = lambda count, k=k, n=n: np.concatenate(
        [np.tile(mixture.means[k], (count, 1)), np.full((n - count, 2), 99.0)]
      ).astype(np.float32)
      for count in (least - 1, least):
        expected = mode_coverage(at(count), mixture).covered
        assert expected == (count == least)
        if k == 0:
          assert float(modes_reached(at(count), mixture)) == expected


def test_known_answers_of_ring_and_grid():
  for mixture in MIXTURES[:2]:
    k = len(mixture.means)
    x, component = mixture_sample(mixture, jax.random.key(k), 60 * k)
    assert float(modes_reached(x, mixture)) == k
    kept = np.asarray(x)[np.asarray(component) >= 3]
    assert float(modes_reached(kept, mixture)) == k - 3
    assert float(modes_reached(0 * x + 0.5, mixture)) == 0
    one = jnp.tile(jnp.asarray(mixture.means[:1]), (50, 1))
    assert float(modes_reached(one, mixture)) == 1


def test_what_is_not_finite_reaches_nothing():
  ring = gaussian_ring()
  bad = np.repeat(ring.means, 10, axis=0)
  bad[:10], bad[10:20, 0] = np.nan, np.inf
  assert float(modes_reached(bad, ring)) == 6


def test_uneven_weights_need_uneven_counts():
  means = np.array([[-1.0, 0.0], [1.0, 0.0]], np.float32)
  uneven = GaussianMixture(means, 0.05, np.array([0.9, 0.1], np.float32))
  assert least_counts(uneven, 100).tolist() == [30, 4]
  assert LEAST_SHARE == 1 / 3


@pytest.mark.parametrize("shape", [(2,), (8, 8, 1)])
def test_diversity_is_1_for_fresh_data_and_0_at_a_point(shape):
  n = 4000
  real, fresh = jax.random.normal(jax.random.key(1), (2, n, *shape))
  # A distance's spread over its mean is below 0.53, and each example is in two.
  assert abs(float(diversity(fresh, real)) - 1) < 4 * 0.53 * math.sqrt(2 * 2 / n)
  assert float(diversity(real, real)) == 1.0
  assert float(diversity(0.3 * fresh + 5, real)) == pytest.approx(0.3, rel=0.1)
  assert float(diversity(jnp.ones((7, *shape)), real)) == 0.0


def test_diversity_is_the_mean_over_neighbours_in_the_batch():
  samples = jnp.array([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]])  # 5 + 4 + 3
  real = jnp.array([[0.0, 0.0], [1.0, 0.0]])  # 1 + 1
  assert float(diversity(samples, real)) == pytest.approx(4.0)


def test_half_of_a_batch_at_one_point_is_less_varied(key):
  real = jax.random.normal(key, (2000, 3))
  half = jnp.where(jax.random.bernoulli(jax.random.key(2), 0.5, (2000, 1)), real, 0.0)
  # E|X - X'| / 4 + E|X| / 2, of E|X - X'| = sqrt(2) E|X|.
  expected = 1 / 4 + 1 / (2 * math.sqrt(2))
  assert float(diversity(half, real)) == pytest.approx(expected, rel=0.06)


def test_both_are_plain_numbers_in_a_step_and_give_no_gradient(key):
  mixture = gaussian_ring()
  x, _ = mixture_sample(mixture, key, 64)

  def objective(scale):
    same = jnp.zeros((64, 2)) * scale  # where the gradient of a norm would be NaN
    reached = modes_reached(scale * x, mixture)
    varied = diversity(same, x) + diversity(scale * x, x)
    return reached + varied + scale, (reached, varied)

  chex.clear_trace_counter()
  traced = chex.assert_max_traces(objective, 1)
  step = jax.jit(jax.value_and_grad(traced, has_aux=True))
  for scale in (1.0, 0.5):
    (_, found), gradient = step(jnp.float32(scale))
    assert gradient == 1.0
    for value in found:
      chex.assert_shape(value, ())
      chex.assert_type(value, jnp.float32)


def test_half_precision_is_measured_in_single():
  real = 100 + jax.random.normal(jax.random.key(0), (50, 4))
  low = real.astype(jnp.bfloat16)
  assert diversity(low, real).dtype == jnp.float32
  assert modes_reached(jnp.zeros((4, 2), jnp.bfloat16), gaussian_ring()) == 0


def test_a_real_batch_that_is_one_example_divides_by_no_zero():
  assert np.isfinite(float(diversity(jnp.zeros((4, 2)), jnp.ones((4, 2)))))


def test_wrong_shapes_are_refused():
  with pytest.raises(AssertionError):
    modes_reached(jnp.zeros((4, 3)), gaussian_ring())
  with pytest.raises(AssertionError):
    diversity(jnp.zeros((4, 3)), jnp.zeros((4, 2)))
  with pytest.raises(ValueError, match="two examples or more: 1 samples, 4 real"):
    diversity(jnp.zeros((1, 2)), jnp.zeros((4, 2)))
