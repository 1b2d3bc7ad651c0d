"""The policy-gradient theorem and its variance, by enumeration over arms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.environments import bandit
from jgm.losses.policy import policy_gradient_loss

K, SCALE = 5, 0.7
LOGITS = jnp.array([0.3, -1.0, 2.0, 0.0, 0.7])
MEANS = jnp.array([4.0, 5.5, 3.0, 2.0, 4.4])


def baselines():
  return {
    "none": jnp.zeros(()),
    "average": jnp.float32(3.3),
    "expected": bandit.expected_reward(LOGITS, MEANS),
    "optimal": bandit.optimal_baseline(LOGITS, MEANS),
  }


@jax.jit
def estimates_of_all_arms(logits, rewards, baseline):
  """The gradient of the loss that trains, for a pull of each arm: [K, K]."""

  def one(logits, arm, reward):
    logp = jax.nn.log_softmax(logits)[arm]
    return -policy_gradient_loss(logp, reward - baseline)

  return jax.vmap(jax.grad(one), (None, 0, 0))(logits, jnp.arange(K), rewards)


@pytest.mark.parametrize("name", baselines())
def test_the_mean_estimate_is_the_gradient_whatever_the_baseline(name):
  estimates = estimates_of_all_arms(LOGITS, MEANS, baselines()[name])
  mean = jax.nn.softmax(LOGITS) @ estimates
  wanted = jax.grad(bandit.expected_reward)(LOGITS, MEANS)
  np.testing.assert_allclose(mean, wanted, atol=1e-6)
  np.testing.assert_allclose(bandit.exact_gradient(LOGITS, MEANS), wanted, atol=1e-6)


@pytest.mark.parametrize("name", baselines())
def test_the_variance_is_that_of_all_estimates(name):
  """Rewards mean +- scale, as likely, have the moments of the Gaussian that matter."""
  baseline, pi = baselines()[name], np.asarray(jax.nn.softmax(LOGITS), np.float64)
  high, low = (
    np.asarray(estimates_of_all_arms(LOGITS, MEANS + sign * SCALE, baseline), float)
    for sign in (1, -1)
  )
  estimates = np.concatenate([high, low])
  weights = np.concatenate([pi, pi]) / 2
  centred = estimates - weights @ estimates
  wanted = weights @ np.square(centred).sum(axis=1)
  found = bandit.gradient_variance(LOGITS, MEANS, baseline, scale=SCALE)
  np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_the_optimal_baseline_is_the_least_variance():
  variance = lambda b: bandit.gradient_variance(LOGITS, MEANS, b, scale=SCALE)
  best = bandit.optimal_baseline(LOGITS, MEANS)
  np.testing.assert_allclose(jax.grad(variance)(best), 0, atol=1e-5)
  weight = jnp.sum(jax.nn.softmax(LOGITS) * bandit.squared_scores(LOGITS))
  for b in (0.0, 3.0, 7.0):
    excess = weight * (b - best) ** 2
    np.testing.assert_allclose(variance(b), variance(best) + excess, rtol=1e-5)
  expected = bandit.expected_reward(LOGITS, MEANS)
  assert variance(best) < variance(expected) < variance(0.0)


def test_of_a_uniform_policy_the_optimal_baseline_is_the_expected_reward():
  uniform = jnp.zeros(K)
  np.testing.assert_allclose(
    bandit.optimal_baseline(uniform, MEANS), jnp.mean(MEANS), rtol=1e-6
  )


def test_pulls_have_their_mean_and_deviation(key):
  n = 4000
  for arm in range(2):
    arms = jnp.full(n, arm, jnp.int32)
    rewards = bandit.pull(jax.random.fold_in(key, arm), MEANS, arms, scale=SCALE)
    np.testing.assert_allclose(rewards.mean(), MEANS[arm], atol=5 * SCALE / n**0.5)
    np.testing.assert_allclose(rewards.std(), SCALE, atol=5 * SCALE / (2 * n) ** 0.5)


def test_shapes_that_differ_are_refused():
  for function in (
    bandit.expected_reward,
    bandit.exact_gradient,
    bandit.optimal_baseline,
  ):
    with pytest.raises(AssertionError):
      function(LOGITS, MEANS[:-1])
