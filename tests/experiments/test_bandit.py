"""The bandit's experiment: its step, the natural gradient, and what it measures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import bandit
from jgm.cli.config import load_config
from jgm.core.program import base_key
from jgm.environments.bandit import exact_gradient, gradient_variance
from jgm.eval.bandit import (
  BASELINES,
  estimates,
  gradient_estimates,
  means_of,
  scatter_plane,
  warn_of_policy,
)


def config_of(**changes):
  config = load_config("configs/bandit.py:smoke")
  config.update_from_flattened_dict(changes)
  return config


def begun(config):
  experiment = bandit.make(config)
  return experiment, jax.jit(experiment.init)(base_key(0), {})


def run(experiment, state, n):
  """The state after n steps, and the metrics [n]."""

  @jax.jit
  def steps(state):
    def one(state, index):
      state, metrics = experiment.step(
        state, {}, jax.random.fold_in(base_key(1), index)
      )
      return state.replace(step=state.step + 1), metrics

    return jax.lax.scan(one, state, jnp.arange(n))

  return steps(state)


@pytest.mark.parametrize("baseline", bandit.BASELINES)
def test_a_step_follows_the_exact_gradient_on_the_mean(baseline):
  """By 20,000 pulls, to 5 standard errors of what the exact variance says."""
  pulls, rate = 20_000, 0.1
  experiment, state = begun(config_of(baseline=baseline, num_pulls=pulls))
  logits = jnp.array([0.5, -0.5, 0.2])
  arms = state.extra._replace(average_reward=jnp.float32(3.5))
  state = state.replace(params={"logits": logits}, extra=arms)
  after, metrics = jax.jit(experiment.step)(state, {}, base_key(1))
  moved = (after.params["logits"] - logits) / rate
  variance = gradient_variance(logits, arms.means, metrics["baseline"], scale=1.0)
  error = jnp.linalg.norm(moved - exact_gradient(logits, arms.means))
  assert float(error) < 5 * float(variance / pulls) ** 0.5


def test_the_average_is_of_all_rewards_before(key):
  experiment, state = begun(config_of(baseline="average"))
  after, metrics = run(experiment, state, 6)
  rewards = np.asarray(metrics["reward"])
  wanted = [0.0, *(rewards[:n].mean() for n in range(1, 6))]
  np.testing.assert_allclose(metrics["baseline"], wanted, rtol=1e-5)
  np.testing.assert_allclose(after.extra.average_reward, rewards.mean(), rtol=1e-5)


def test_the_natural_gradient_is_the_means_themselves():
  """F^-1 grad J = means, but for a constant: F means is grad J."""
  logits, means = jnp.array([0.5, -0.5, 0.2]), jnp.array([1.0, 3.0, -2.0])
  turn = bandit.natural(1e-5).update
  gradient = {"logits": exact_gradient(logits, means)}
  found, _ = jax.jit(turn)(gradient, (), {"logits": logits})
  centred = lambda x: x - jnp.mean(x)
  np.testing.assert_allclose(centred(found["logits"]), centred(means), rtol=1e-3)


def test_the_natural_gradient_is_that_of_the_dense_fisher_matrix():
  logits, gradient = jnp.array([0.5, -0.5, 0.2]), jnp.array([1.0, -3.0, 2.0])
  pi, damping = jax.nn.softmax(logits), 0.1
  fisher = jnp.diag(pi) - jnp.outer(pi, pi)
  wanted = jnp.linalg.solve(fisher + damping * jnp.eye(3), gradient)
  turn = bandit.natural(damping).update
  found, _ = jax.jit(turn)({"logits": gradient}, (), {"logits": logits})
  np.testing.assert_allclose(found["logits"], wanted, rtol=1e-4)


@pytest.mark.parametrize("gradient", bandit.GRADIENTS)
def test_the_best_arm_is_found(gradient):
  config = config_of(gradient=gradient, baseline="expected", num_pulls=50)
  experiment, state = begun(config)
  after, _ = run(experiment, state, 400)
  before = experiment.evaluate(state, base_key(2)).scalars
  scalars = experiment.evaluate(after, base_key(2)).scalars
  assert before["best_arm_probability"].value == pytest.approx(1 / 3)
  assert before["expected_reward"].value == pytest.approx(
    before["expected_reward"].ceiling
  )
  assert scalars["best_arm_probability"].value > 0.9
  assert scalars["expected_reward"].value <= scalars["expected_reward"].floor


def test_measured_variances_are_the_exact_ones(key):
  """An estimate of a variance from n pulls is within 5 of its standard errors."""
  logits, means, n = jnp.array([0.5, -0.5, 0.2]), jnp.array([4.0, 5.0, 2.0]), 4000
  found = estimates(key, logits, means, scale=0.7, n=n)
  assert list(found) == list(BASELINES)
  for each in found.values():
    squares = np.square(each.sampled - each.sampled.mean(axis=0)).sum(axis=1)
    error = squares.std() / n**0.5
    assert abs(each.sampled_variance - each.variance) < 5 * error
    assert 0.9 < each.cosine <= 1
  variances = [each.variance for each in found.values()]
  assert variances == sorted(variances, reverse=True)


def test_estimates_are_rewards_times_scores():
  """(r - b) (e_a - pi), written out."""
  logits = jnp.array([0.5, -0.5, 0.2])
  arms, advantages = jnp.array([0, 2], jnp.int32), jnp.array([2.0, -1.0])
  found = gradient_estimates(logits, arms, advantages)
  pi = np.asarray(jax.nn.softmax(logits))
  wanted = np.array([2.0, -1.0])[:, None] * (np.eye(3)[[0, 2]] - pi)
  np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_the_plane_of_the_picture_holds_the_gradient():
  random = np.random.default_rng(0)
  gradient = np.array([3.0, 4.0, 0.0])
  sampled = random.normal(size=(500, 3)) * [0.1, 0.1, 5.0] + gradient
  plane = scatter_plane(sampled, gradient)
  np.testing.assert_allclose(plane[:, 0], [0.6, 0.8, 0])
  np.testing.assert_allclose(np.abs(plane[:, 1]), [0, 0, 1], atol=0.02)
  np.testing.assert_allclose(means_of(np.arange(7.0)[:, None], 3), [[1], [4]])


def test_a_policy_of_another_arm_is_warned_of():
  assert warn_of_policy(jnp.array([0.0, 2.0]), jnp.array([3.0, 1.0]))
  assert not warn_of_policy(jnp.array([0.0, 2.0]), jnp.array([1.0, 3.0]))


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"num_arms": 1}, "at least 2"),
    ({"num_pulls": 0}, "at least 1"),
    ({"eval.num_samples": 1}, "at least 2"),
    ({"baseline": "optimum"}, "Did you mean 'optimal'"),
    ({"gradient": "naturel"}, "Did you mean 'natural'"),
  ],
)
def test_what_cannot_be_is_said_by_make(change, message):
  with pytest.raises(ValueError, match=message):
    bandit.make(config_of(**change))
