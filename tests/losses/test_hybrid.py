"""The bound's term at one step, and the hybrid loss: values, units and gradients."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.losses.diffusion import variational_bound
from jgm.losses.hybrid import bound_term, hybrid_loss
from jgm.losses.regression import squared_error
from jgm.noise import geometric_schedule, linear_beta_schedule

NUM_STEPS = 7
SCHEDULE = linear_beta_schedule(NUM_STEPS, 1e-4, 0.004)
T = jnp.array([0, 1, 3, 6])
LEVELS = {"levels": 9, "low": -1.0, "high": 1.0}


@pytest.fixture
def guess(key):
  """x_0 in the middles of bins, an estimate of it, and a fraction."""
  keys = jax.random.split(key, 3)
  x_0 = jax.random.randint(keys[0], (4, 2, 3), 0, 9) / 4.0 - 1.0
  x_0_hat = x_0 + 0.3 * jax.random.normal(keys[1], x_0.shape)
  return x_0, x_0_hat, jax.random.uniform(keys[2], x_0.shape)


@pytest.mark.parametrize(
  "schedule", [SCHEDULE, geometric_schedule(NUM_STEPS, 0.1, 3.0)]
)
@pytest.mark.parametrize("levels", [9, None])
def test_a_term_is_that_of_the_whole_bound(schedule, levels, guess, key):
  x_0, x_0_hat, fraction = guess
  options = {**LEVELS, "levels": levels}
  bound = jax.jit(
    lambda key: variational_bound(
      lambda *_: (x_0_hat, fraction), schedule, x_0, key, variance="learned", **options
    )
  )(key)
  terms = np.concatenate([bound.decoder[:, None], bound.steps], axis=1)
  of = lambda t: bound_term(x_0_hat, fraction, x_0, t, schedule, **options)
  np.testing.assert_allclose(jax.jit(of)(T), terms[np.arange(4), T], rtol=1e-5)
  if levels is None:  # and without compilation
    np.testing.assert_allclose(of(T), terms[np.arange(4), T], rtol=1e-5)


def test_the_hybrid_is_in_bits_per_dimension_times_the_number_of_steps(guess):
  x_0, x_0_hat, fraction = guess
  simple = jnp.arange(4.0)
  arguments = (x_0_hat, fraction, x_0, T, SCHEDULE)
  term, by_default, heavy = jax.jit(
    lambda simple: (
      bound_term(*arguments, **LEVELS),
      hybrid_loss(simple, *arguments, **LEVELS),
      hybrid_loss(simple, *arguments, **LEVELS, bound_weight=2.0),
    )
  )(simple)
  bits = NUM_STEPS * np.asarray(term, np.float64) / (6 * math.log(2))
  np.testing.assert_allclose(by_default, np.arange(4) + 0.001 * bits, rtol=1e-5)
  np.testing.assert_allclose(heavy, np.arange(4) + 2.0 * bits, rtol=1e-5)


def test_the_mean_learns_from_the_simple_loss_and_the_variance_from_the_bound(guess):
  x_0, x_0_hat, fraction = guess

  def hybrid(x_0_hat, fraction):
    simple = squared_error(x_0_hat, x_0)
    return jnp.sum(
      hybrid_loss(
        simple, x_0_hat, fraction, x_0, T, SCHEDULE, **LEVELS, bound_weight=0.5
      )
    )

  def bound(x_0_hat, fraction):
    term = bound_term(x_0_hat, fraction, x_0, T, SCHEDULE, **LEVELS)
    return jnp.sum(0.5 * NUM_STEPS * term / (6 * math.log(2)))

  slopes = lambda loss: jax.jit(jax.grad(loss, argnums=(0, 1)))(x_0_hat, fraction)
  by_mean, by_fraction = slopes(hybrid)
  simple_slope = jax.grad(lambda x_0_hat: jnp.sum(squared_error(x_0_hat, x_0)))(x_0_hat)
  np.testing.assert_allclose(by_mean, simple_slope, rtol=1e-6)
  bound_by_mean, bound_by_fraction = slopes(bound)
  np.testing.assert_allclose(by_fraction, bound_by_fraction, rtol=1e-5)
  # and neither is so for want of a gradient
  assert np.all(np.any(np.abs(bound_by_mean) > 1e-3, axis=(1, 2)))
  assert np.all(np.any(np.abs(bound_by_fraction) > 1e-3, axis=(1, 2)))


def test_the_best_fraction_makes_the_variance_that_of_the_error():
  """d KL / d log p = 0 at p = q + weight^2 |x_0 - x_0_hat|^2, by hand."""
  beta = np.linspace(1e-4, 0.004, NUM_STEPS) * 1000 / NUM_STEPS
  bar = np.cumprod(1 - beta)
  t, fraction = 3, 0.6
  small = beta[t] * (1 - bar[t - 1]) / (1 - bar[t])
  best = small ** (1 - fraction) * beta[t] ** fraction
  weight = math.sqrt(bar[t - 1]) * beta[t] / (1 - bar[t])
  error = math.sqrt(best - small) / weight
  x_0 = jnp.zeros((1, 1))
  loss = lambda fraction: bound_term(
    x_0 + error, fraction, x_0, jnp.array([t]), SCHEDULE, levels=None
  )[0]
  slope = jax.jit(jax.grad(loss))
  np.testing.assert_allclose(slope(jnp.array([[fraction]])), 0.0, atol=1e-5)
  assert (
    slope(jnp.array([[0.4]]))[0, 0] < -1e-2 < 1e-2 < slope(jnp.array([[0.8]]))[0, 0]
  )


@pytest.mark.parametrize(
  "schedule", [linear_beta_schedule(1000), geometric_schedule(10, 1e-4, 1e3)]
)
def test_extremes_are_finite_in_value_and_gradient(schedule):
  x_0 = jnp.array([[-1.0, 0.25, 1.0]])
  last = schedule.num_steps - 1

  def total(x_0_hat, fraction, t):
    arguments = (x_0_hat, fraction, x_0, t, schedule)
    loss = bound_term(*arguments, **LEVELS)
    return jnp.sum(loss + hybrid_loss(jnp.zeros(1), *arguments, **LEVELS))

  both = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))
  for t in (0, 1, last):
    for off in (0.0, 1e-9, -100.0, 100.0):
      for fraction in (0.0, 1.0):
        of = both(x_0 + off, jnp.full((1, 3), fraction), jnp.array([t]))
        chex.assert_tree_all_finite(of)


def test_bad_input_is_named(guess):
  x_0, x_0_hat, fraction = guess
  with pytest.raises(ValueError, match="discrete schedule"):
    continuous = SCHEDULE._replace(num_steps=None)
    bound_term(x_0_hat, fraction, x_0, T, continuous, **LEVELS)
  with pytest.raises(AssertionError):
    bound_term(x_0_hat, fraction[:, 0], x_0, T, SCHEDULE, **LEVELS)
  with pytest.raises(AssertionError):
    bound_term(x_0_hat, fraction, x_0, T[:2], SCHEDULE, **LEVELS)
  with pytest.raises(AssertionError):  # a mean where a loss per example is needed
    hybrid_loss(jnp.zeros(()), x_0_hat, fraction, x_0, T, SCHEDULE, **LEVELS)
