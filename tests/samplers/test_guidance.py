"""Guidance, against the closed forms of Gaussians; w = 0 is the model, bit for bit."""

import doctest
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise
from jgm.samplers import classifier_free, classifier_guidance, from_scale, heun
from jgm.samplers.timesteps import timestep_pairs

SCHEDULE = noise.vp_schedule()


def gaussian_denoiser(mean, variance, schedule=SCHEDULE):
  def denoiser(x_t, t):
    alpha, sigma = (noise.per_example(f(t), x_t) for f in schedule[:2])
    gain = alpha * variance / (alpha**2 * variance + sigma**2)
    return mean + gain * (x_t - alpha * mean)

  return denoiser


CONDITIONAL, UNCONDITIONAL = gaussian_denoiser(1.5, 0.2), gaussian_denoiser(0.0, 1.0)


@pytest.mark.parametrize("w", [0, 0.0])
def test_w_0_is_the_conditional_model_bit_for_bit(w):
  guided = classifier_free(CONDITIONAL, UNCONDITIONAL, w)
  log_prob = lambda x_t, t: jnp.sum(x_t, axis=1)
  raised = classifier_guidance(CONDITIONAL, SCHEDULE, log_prob, w)
  assert guided is CONDITIONAL and raised is CONDITIONAL  # nothing else is asked
  pairs = timestep_pairs(SCHEDULE, 4)
  sample = jax.jit(
    lambda x_T: [
      heun(denoiser, SCHEDULE, x_T, timesteps=pairs)
      for denoiser in (CONDITIONAL, guided, raised)
    ]
  )
  plain, *others = sample(jnp.linspace(-2, 2, 6).reshape(3, 2))
  for other in others:
    np.testing.assert_array_equal(other, plain)


def test_a_scale_that_is_an_array_serves_as_the_number_does():
  """One program for all, and at the ends what the numbers' short ways give."""
  x_t, t = jnp.linspace(-2, 2, 8).reshape(4, 2), jnp.array([0.05, 0.3, 0.5, 0.7])
  free = jax.jit(lambda w: classifier_free(CONDITIONAL, UNCONDITIONAL, w)(x_t, t))
  by_class = jax.jit(
    lambda w: classifier_guidance(UNCONDITIONAL, SCHEDULE, class_log_prob, w)(x_t, t)
  )
  for w in (0.0, -1.0, 2.0):
    wanted = classifier_free(CONDITIONAL, UNCONDITIONAL, w)(x_t, t)
    np.testing.assert_allclose(free(jnp.float32(w)), wanted, rtol=1e-5, atol=1e-6)
  for w in (0.0, 2.0):
    raised = classifier_guidance(UNCONDITIONAL, SCHEDULE, class_log_prob, w)
    found = by_class(jnp.float32(w))
    np.testing.assert_allclose(found, raised(x_t, t), rtol=1e-5, atol=1e-6)


def test_w_minus_1_is_the_unconditional_model():
  assert classifier_free(CONDITIONAL, UNCONDITIONAL, -1.0) is UNCONDITIONAL


@pytest.mark.parametrize("w", [-0.5, 0.7, 3.0])
def test_the_guided_score_is_the_closed_form(w):
  """(1 + w) of one Gaussian's score less w of another's, whatever is predicted."""
  x_t, t = jnp.linspace(-2, 2, 8).reshape(4, 2), jnp.array([0.05, 0.3, 0.6, 1.0])
  alpha, sigma = SCHEDULE.alpha(t)[:, None], SCHEDULE.sigma(t)[:, None]
  score = lambda m, v: (alpha * m - x_t) / (alpha**2 * v + sigma**2)
  wanted = (1 + w) * score(1.5, 0.2) - w * score(0.0, 1.0)
  guided = jax.jit(classifier_free(CONDITIONAL, UNCONDITIONAL, w))
  actual = noise.make_score(guided, SCHEDULE)(x_t, t)
  np.testing.assert_allclose(actual, wanted, rtol=2e-4, atol=2e-4)
  eps = lambda x_0: (x_t - alpha * x_0) / sigma
  eps_hat = (1 + w) * eps(CONDITIONAL(x_t, t)) - w * eps(UNCONDITIONAL(x_t, t))
  np.testing.assert_allclose(eps(guided(x_t, t)), eps_hat, rtol=1e-4, atol=1e-4)


def class_log_prob(x_t, t):
  """log p(class | x_t) by Bayes' rule, up to a constant, of the two Gaussians."""
  alpha, sigma = SCHEDULE.alpha(t)[:, None], SCHEDULE.sigma(t)[:, None]

  def log_density(m, v):
    variance = alpha**2 * v + sigma**2
    return -0.5 * ((x_t - alpha * m) ** 2 / variance + jnp.log(variance))

  return jnp.sum(log_density(1.5, 0.2) - log_density(0.0, 1.0), axis=1)


def test_a_perfect_classifier_makes_the_conditional_model():
  """With w = 1; with more it is what classifier-free guidance makes of w - 1."""
  x_t, t = jnp.linspace(-2, 2, 8).reshape(4, 2), jnp.array([0.05, 0.3, 0.5, 0.7])
  for w, wanted in (
    (1.0, CONDITIONAL),
    (3.0, classifier_free(CONDITIONAL, UNCONDITIONAL, 2.0)),
  ):
    guided = classifier_guidance(UNCONDITIONAL, SCHEDULE, class_log_prob, w)
    np.testing.assert_allclose(
      jax.jit(guided)(x_t, t), wanted(x_t, t), rtol=2e-4, atol=2e-4
    )


def test_the_two_conventions():
  module = importlib.import_module("jgm.samplers.guidance")
  found = doctest.testmod(module)
  assert found.attempted == 2 and found.failed == 0
  # s x_0_hat_c + (1 - s) x_0_hat_u, as those write who call 1 the conditional model
  x_t, t, s = jnp.ones((1, 2)), jnp.array([0.4]), 4.0
  theirs = s * CONDITIONAL(x_t, t) + (1 - s) * UNCONDITIONAL(x_t, t)
  ours = classifier_free(CONDITIONAL, UNCONDITIONAL, from_scale(s))(x_t, t)
  np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_bad_input_is_named():
  nan, inf = float("nan"), float("inf")
  for w in (-1.01, nan, inf):
    with pytest.raises(ValueError, match=r"w must be a finite number >= -1"):
      classifier_free(CONDITIONAL, UNCONDITIONAL, w)
  for w in (-0.1, nan, inf):
    with pytest.raises(ValueError, match=r"w must be a finite number >= 0"):
      classifier_guidance(UNCONDITIONAL, SCHEDULE, class_log_prob, w)
  with pytest.raises(ValueError, match="use classifier_free"):
    straight = noise.rectified_schedule()
    classifier_guidance(UNCONDITIONAL, straight, class_log_prob, 1.0)
