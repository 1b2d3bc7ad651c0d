"""The variational bound, against closed forms of linear-Gaussian chains."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jgm.losses.diffusion import (
  sampled_variational_bound,
  variational_bound,
)
from jgm.noise import linear_beta_schedule, per_example

NUM_STEPS = 12
SCHEDULE = linear_beta_schedule(NUM_STEPS, 1e-4, 0.008)
# the textbook's tables, with alpha_bar[-1] = 1, of clean data
BETA = np.linspace(1e-4, 0.008, NUM_STEPS) * 1000 / NUM_STEPS
ALPHA_BAR = np.append(np.cumprod(1 - BETA), 1.0)
COPIES = 20_000  # of the same data, each with its own noise
X_0 = np.array([[0.9, -0.4, 0.1]])
EXACT = {"levels": None, "decoder_variance": BETA[0]}
FRACTION = 0.3  # of the learned variance between "small" and "large"


def wrong_denoiser(x_t, t):
  """A linear one, wrong on purpose."""
  return 0.7 * x_t + 0.1 + 0.02 * per_example(t, x_t)


def expected_terms(variance):
  """The bound's terms for X_0 and `wrong_denoiser`, in expectation, in float64."""
  a, a_s = ALPHA_BAR[:-1], ALPHA_BAR[np.arange(NUM_STEPS) - 1]
  t = np.arange(NUM_STEPS)[:, None]
  # E |x_0 - x_0_hat|^2: of its mean, and of the noise that it passes on
  miss = X_0 - (0.7 * np.sqrt(a)[:, None] * X_0 + 0.1 + 0.02 * t)
  error = np.sum(miss**2, axis=1) + 3 * 0.7**2 * (1 - a)
  q = BETA * (1 - a_s) / (1 - a)
  fraction = {"small": 0.0, "learned": FRACTION, "large": 1.0}[variance]
  weight = np.sqrt(a_s) * BETA / (1 - a)
  with np.errstate(divide="ignore", invalid="ignore"):  # t = 0 is the decoder's
    p = q ** (1 - fraction) * BETA**fraction
    steps = 0.5 * (3 * (q / p - 1 - np.log(q / p)) + weight**2 * error / p)
  last = a[-1]
  prior = 0.5 * np.sum(last * X_0**2 + (1 - last) - 1 - np.log(1 - last))
  width = BETA[0]
  if variance == "learned":  # and by default between that of the next step and beta
    width = q[1] ** (1 - fraction) * BETA[0] ** fraction
  decoder = 0.5 * (error[0] / width + 3 * np.log(2 * np.pi * width))
  return prior, steps[1:], decoder


def assert_mean(samples, wanted):
  """Within 4 standard errors."""
  samples = np.asarray(samples, np.float64)
  standard_error = samples.std(0) / np.sqrt(len(samples))
  error = (samples.mean(0) - wanted) / standard_error
  assert np.all(np.abs(error) < 4), f"off by {error} standard errors"


@pytest.mark.parametrize("variance", ["small", "large", "learned"])
def test_each_term_has_its_closed_form(variance, key):
  x_0 = jnp.asarray(np.repeat(X_0, COPIES, axis=0), jnp.float32)

  @jax.jit
  def both(x_0, key):
    key_exact, key_sampled = jax.random.split(key)
    denoiser, options = wrong_denoiser, {"variance": variance, **EXACT}
    if variance == "learned":
      options["decoder_variance"] = None
      denoiser = lambda x_t, t: (wrong_denoiser(x_t, t), jnp.full_like(x_t, FRACTION))
    arguments = (denoiser, SCHEDULE, x_0)
    return (
      variational_bound(*arguments, key_exact, **options),
      sampled_variational_bound(*arguments, key_sampled, num_samples=2, **options),
    )

  bound, sampled = both(x_0, key)
  prior, steps, decoder = expected_terms(variance)
  np.testing.assert_allclose(bound.prior, np.full(COPIES, prior), rtol=1e-5)
  assert bound.steps.shape == (COPIES, NUM_STEPS - 1)
  assert_mean(bound.steps, steps)
  assert_mean(bound.decoder, decoder)
  assert_mean(bound.log_prob, -prior - steps.sum() - decoder)
  assert_mean(sampled, -prior - steps.sum() - decoder)


def test_where_the_reverse_chain_is_exact_the_bound_is_the_log_density(key):
  """Data N(0, I): x_t is N(0, I) too, and p(x_s | x_t) has the "large" variance."""
  x_0 = jnp.asarray(np.repeat(X_0, COPIES, axis=0), jnp.float32)
  denoiser = lambda x_t, t: per_example(SCHEDULE.alpha(t), x_t) * x_t
  bound = jax.jit(
    lambda x_0, key: variational_bound(
      denoiser, SCHEDULE, x_0, key, variance="large", **EXACT
    )
  )(x_0, key)
  assert_mean(bound.log_prob, scipy.stats.norm.logpdf(X_0).sum())


@pytest.mark.parametrize("variance", ["small", "large"])
def test_averaged_over_data_it_is_below_the_log_density(variance, key):
  """With the exact denoiser of N(0.5, 0.3): only the discretisation is lost."""
  mean, power = 0.5, 0.3

  def denoiser(x_t, t):
    alpha, sigma = (per_example(f(t), x_t) for f in SCHEDULE[:2])
    gain = power * alpha / (power * alpha**2 + sigma**2)
    return mean + gain * (x_t - alpha * mean)

  key_x, key_bound = jax.random.split(key)
  x_0 = mean + np.sqrt(power).astype("f") * jax.random.normal(key_x, (COPIES, 2))
  bound = jax.jit(
    lambda x_0, key: variational_bound(
      denoiser, SCHEDULE, x_0, key, variance=variance, **EXACT
    )
  )(x_0, key_bound)
  log_prob = scipy.stats.norm.logpdf(x_0, mean, np.sqrt(power)).sum(1)
  loss = log_prob - np.asarray(bound.log_prob)
  assert loss.mean() > 4 * loss.std() / np.sqrt(COPIES)
  assert np.min(bound.prior) >= 0 and np.min(bound.steps) >= 0


@pytest.mark.parametrize("num_steps", [1, 5])
def test_a_denoiser_that_knows_leaves_the_decoder_and_the_prior(num_steps, key):
  """The discretised decoder, whose variance is by default the next posterior's."""
  schedule = linear_beta_schedule(num_steps, 1e-5, 1e-4)
  betas = np.linspace(1e-5, 1e-4, num_steps) * 1000 / num_steps
  x_0 = jnp.array([[[-1.0, -0.5, 0.0], [0.5, 1.0, 1.0]]])
  options = {"levels": 5, "low": -1.0, "high": 1.0}

  @jax.jit
  def both(key):
    arguments, keys = (lambda *_: x_0, schedule, x_0), jax.random.split(key, 3)
    return (
      variational_bound(*arguments, keys[0], **options),
      sampled_variational_bound(*arguments, keys[1], num_samples=1, **options),
      variational_bound(*arguments, keys[2], variance="large", **options),
    )

  bound, sampled, large = both(key)
  variance = betas[0]
  if num_steps > 1:
    variance = betas[1] * betas[0] / (1 - np.prod(1 - betas[:2]))
  inside = 2 * scipy.stats.norm.cdf(0.25 / np.sqrt(variance)) - 1
  outside = scipy.stats.norm.cdf(0.25 / np.sqrt(variance))
  wanted = -3 * np.log(inside) - 3 * np.log(outside)
  np.testing.assert_allclose(bound.decoder, [wanted], rtol=2e-5, atol=1e-6)
  np.testing.assert_allclose(large.decoder, bound.decoder, rtol=1e-6)
  np.testing.assert_allclose(bound.steps, np.zeros((1, num_steps - 1)))
  np.testing.assert_allclose(sampled, bound.log_prob, rtol=1e-5)


def test_the_ends_of_the_learned_variance_are_the_fixed_ones(key):
  schedule = linear_beta_schedule(4, 1e-4, 0.003)
  beta_0 = 1e-4 * 1000 / 4
  x_0 = jnp.array([[-1.0, 0.5, 0.0], [0.5, 1.0, -0.5]])
  at = lambda f: lambda x_t, t: (wrong_denoiser(x_t, t), jnp.full_like(x_t, f))
  cases = {
    "small": (wrong_denoiser, "small", None),
    "large": (wrong_denoiser, "large", beta_0),  # the decoder's too, unlike by default
    "at 0": (at(0.0), "learned", None),
    "at 1": (at(1.0), "learned", None),
    "given": (at(1.0), "learned", 0.3),
  }

  @jax.jit
  def bounds(key):
    return {
      name: variational_bound(
        denoiser,
        schedule,
        x_0,
        jax.random.clone(key),  # the same noise for all
        levels=5,
        variance=variance,
        decoder_variance=width,
      )
      for name, (denoiser, variance, width) in cases.items()
    }

  bound = bounds(key)
  chex.assert_trees_all_close(bound["at 0"], bound["small"], rtol=2e-5)
  chex.assert_trees_all_close(bound["at 1"], bound["large"], rtol=2e-5)
  # a width that is given is the decoder's, and no more
  np.testing.assert_array_equal(bound["given"].steps, bound["at 1"].steps)
  assert np.all(np.abs(bound["given"].decoder - bound["at 1"].decoder) > 1e-2)


def test_bad_input_is_named(key):
  x_0 = jnp.zeros((2, 3))
  arguments = (wrong_denoiser, SCHEDULE, x_0, key)
  with pytest.raises(ValueError, match="unknown variance 'wide'"):
    variational_bound(*arguments, levels=None, variance="wide")
  with pytest.raises(ValueError, match="returns \\(x_0_hat, fraction\\)"):
    variational_bound(*arguments, levels=None, variance="learned")
  both = lambda x_t, t: (x_t, x_t)
  with pytest.raises(ValueError, match="returns \\(x_0_hat, fraction\\)"):
    sampled_variational_bound(both, *arguments[1:], levels=None, num_samples=1)
  wrong = lambda x_t, t: (x_t, x_t[:, :1])
  with pytest.raises(AssertionError):
    variational_bound(wrong, *arguments[1:], levels=None, variance="learned")
  with pytest.raises(ValueError, match="num_samples >= 1"):
    sampled_variational_bound(*arguments, levels=None, num_samples=0)
  continuous = SCHEDULE._replace(num_steps=None)
  with pytest.raises(ValueError, match="discrete schedule"):
    variational_bound(wrong_denoiser, continuous, x_0, key, levels=None)
