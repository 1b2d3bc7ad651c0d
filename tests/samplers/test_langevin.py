"""Langevin's dynamics with and without a correction, by many independent chains."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.data.gaussian_mixture import GaussianMixture, mixture_log_density
from jgm.samplers.langevin import langevin
from jgm.samplers.mala import mala

MEAN, VARIANCE, STEP = np.array([1.0, -2.0]), 0.25, 0.2


def log_density(x):
  return -0.5 * jnp.sum((x - jnp.float32(MEAN)[None]) ** 2, axis=1) / VARIANCE


score = jax.grad(lambda x: jnp.sum(log_density(x)))


@functools.cache
def compiled(sampler, target, step_size, num_steps):
  walk = functools.partial(sampler, target, step_size=step_size, num_steps=num_steps)
  return jax.jit(walk)


def test_the_unadjusted_chain_has_its_own_variance(assert_moments, key):
  """VARIANCE / (1 - STEP / (4 VARIANCE)), which is a quarter too much here."""
  x = jnp.broadcast_to(jnp.float32(MEAN)[None] + 1.0, (20_000, 2))
  samples = compiled(langevin, score, STEP, 40)(x, key)
  variance = VARIANCE / (1 - STEP / (4 * VARIANCE))
  assert_moments(samples, MEAN, variance * np.eye(2))


def test_mala_has_the_targets(assert_moments, key):
  """With the same long steps: no bias is left."""
  x = jnp.broadcast_to(jnp.float32(MEAN)[None] + 1.0, (20_000, 2))
  samples, acceptance = compiled(mala, log_density, STEP, 60)(x, key)
  assert_moments(samples, MEAN, VARIANCE * np.eye(2))
  assert acceptance.shape == (20_000,) and 0.7 < acceptance.mean() < 0.99


def test_short_steps_are_all_accepted(key):
  x = jnp.float32(MEAN)[None] + jnp.linspace(-1, 1, 100).reshape(50, 2)
  rates = [
    float(compiled(mala, log_density, a, 30)(x, jax.random.clone(key))[1].mean())
    for a in (1.0, 0.1, 1e-4)
  ]
  assert rates[0] < rates[1] < rates[2] and rates[2] > 0.999


def test_detailed_balance(key):
  """From the target itself, a step is as likely as the step back.

  So E[f(x) g(y)] = E[g(x) f(y)] for any f and g, on a lopsided mixture.
  """
  means = np.array([[-1.0], [0.8]], np.float32)
  mixture = GaussianMixture(means, 0.4, np.float32([0.7, 0.3]))
  target = functools.partial(mixture_log_density, mixture)
  random, n = np.random.default_rng(0), 400_000
  of = (random.random(n) < 0.3).astype(int)
  x = means[of] + 0.4 * random.standard_normal((n, 1))
  y, acceptance = compiled(mala, target, 1.0, 1)(jnp.float32(x), key)
  assert 0.3 < acceptance.mean() < 0.9
  y = np.asarray(y, np.float64)
  for f, g in ((np.sign, np.square), (lambda x: x, np.square), (lambda x: x, np.exp)):
    flow = f(x) * g(y) - g(x) * f(y)
    assert abs(flow.mean()) < 4 * flow.std() / np.sqrt(n)


def test_an_impossible_proposal_is_refused(key):
  """Of a density with an edge, on pictures: no chain ever leaves it."""

  def inside(x):
    outside = jnp.any(x < 0, axis=(1, 2, 3))
    return jnp.where(outside, -jnp.inf, -jnp.sum(x, axis=(1, 2, 3)))

  x, acceptance = compiled(mala, inside, 0.5, 20)(jnp.full((8, 2, 2, 1), 0.1), key)
  assert x.min() >= 0 and 0 < acceptance.mean() < 1


def test_bad_input_is_named(key):
  x = jnp.zeros((2, 2))
  for sampler, target in ((langevin, score), (mala, log_density)):
    for step_size in (0.0, -1.0, float("nan")):
      with pytest.raises(ValueError, match="step_size must be above 0"):
        sampler(target, x, key, step_size=step_size, num_steps=3)
    with pytest.raises(ValueError, match="num_steps >= 1; got 0"):
      sampler(target, x, key, step_size=0.1, num_steps=0)
