"""Returns and baselines: what they are by hand, and that no bias is taken in."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.losses.kl import categorical_kl
from jgm.losses.masked import last_real
from jgm.policy.advantages import leave_one_out, standardised
from jgm.policy.experience import Experience, make_experience
from jgm.policy.rollout import Rollout

MASK = jnp.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])


@pytest.fixture
def experience():
  tokens = jnp.zeros((2, 3), jnp.int32)
  rollout = Rollout(tokens[:, :1], tokens, MASK, jnp.zeros((2, 3)))
  token_kl = jnp.array([[0.5, -1.0, 2.0], [3.0, 0.0, 0.0]])
  return Experience(rollout, jnp.array([10.0, 20.0]), token_kl)


def test_returns_by_hand(experience):
  np.testing.assert_allclose(experience.returns(2.0), [10 - 3, 20 - 6])
  rewards = experience.token_rewards(2.0)
  np.testing.assert_allclose(rewards, [[-1, 2, 10 - 4], [20 - 6, 0, 0]])
  np.testing.assert_allclose(rewards.sum(axis=1), experience.returns(2.0))
  assert experience.metrics()["length"] == 2


def test_the_last_real_token():
  np.testing.assert_array_equal(last_real(MASK), [[0, 0, 1], [1, 0, 0]])
  np.testing.assert_array_equal(last_real(jnp.zeros((1, 3))), [[0, 0, 0]])


def test_one_left_out_takes_no_bias_in_and_lowers_the_variance():
  """Over all triples of actions of a softmax policy, exactly."""
  logits = jnp.array([0.3, -0.5, 1.0, 0.0])
  reward = jnp.array([1.0, 4.0, 2.0, 7.0])
  p = jax.nn.softmax(logits)
  exact = np.asarray(jax.grad(lambda x: jax.nn.softmax(x) @ reward)(logits))
  score = jnp.eye(4) - p[None]  # grad log p of each action
  triples = np.array(list(itertools.product(range(4), repeat=3)))
  weight = np.prod(np.asarray(p)[triples], axis=1)
  estimate = lambda returns: np.mean(
    np.asarray(returns)[:, :, None] * np.asarray(score)[triples], axis=1
  )
  with_it = estimate(jax.vmap(leave_one_out)(reward[triples]))
  without = estimate(reward[triples])
  variance = lambda x: weight @ np.sum((x - exact[None]) ** 2, axis=1)
  np.testing.assert_allclose(weight @ with_it, exact, atol=1e-6)
  np.testing.assert_allclose(weight @ without, exact, atol=1e-6)
  assert variance(with_it) < 0.5 * variance(without)


@pytest.mark.parametrize("shape", [(), (3, 2)])
def test_one_left_out_is_of_returns_alone(shape):
  with pytest.raises(AssertionError, match="rank"):
    leave_one_out(jnp.zeros(shape))


def test_standardised_over_real_tokens_alone():
  advantages = jnp.array([[1.0, 2.0, 3.0], [6.0, jnp.nan, 99.0]])
  found = np.asarray(standardised(advantages, MASK))[np.asarray(MASK) > 0]
  np.testing.assert_allclose([found.mean(), found.std()], [0, 1], atol=1e-6)
  other = np.asarray(standardised(10 * advantages, MASK))[np.asarray(MASK) > 0]
  np.testing.assert_allclose(found, other, atol=1e-5)


def test_the_kl_of_experience_is_that_of_both_policies(task, state):
  """The first token's, in the mean over many; and 0 where they are the same."""
  windows = jnp.zeros((4000, 5), jnp.int32)
  collect = jax.jit(make_experience(task))
  experience = collect(state, windows, jax.random.key(5))
  both = (state.params["policy"], state.extra.reference)
  one = jax.tree.map(lambda x: x[:1], experience.rollout)
  logits, ref_logits = (task.policy.logits(params, one)[0, 0] for params in both)
  first = np.asarray(experience.token_kl[:, 0])
  exact = float(categorical_kl(logits, ref_logits))
  assert abs(first.mean() - exact) < 4.5 * first.std() / np.sqrt(len(first))
  assert exact > 0.05
  same = state.replace(params={"policy": state.extra.reference})
  np.testing.assert_allclose(
    collect(same, windows, jax.random.key(5)).token_kl, 0.0, atol=1e-5
  )
