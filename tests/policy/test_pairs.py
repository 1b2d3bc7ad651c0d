"""Pairs of completions: of one prompt, and a judge who errs as he should."""

import jax
import jax.numpy as jnp
import numpy as np

from jgm.policy.pairs import halves, make_pairs, where


def test_the_judge_errs_as_bradley_and_terry_say(task, state):
  windows = jnp.zeros((4000, 5), jnp.int32)
  pairs = jax.jit(make_pairs(task))(
    state.params["policy"], state.extra, windows, jax.random.key(0)
  )
  margin = np.asarray(pairs.chosen_reward - pairs.rejected_reward)
  # P(the better is chosen | size of the difference) = sigmoid(size)
  size = np.abs(margin)
  expected = 1 / (1 + np.exp(-size))
  differ = size > 1e-6
  for among in (differ, size > np.median(size[differ])):
    right, p = (margin > 0)[among], expected[among]
    error = np.sqrt(np.sum(p * (1 - p))) / among.sum()
    assert among.sum() > 100 and abs(right.mean() - p.mean()) < 4.5 * error
  np.testing.assert_allclose(pairs.accuracy_ceiling, expected, rtol=1e-5)


def test_a_completion_keeps_its_reward(task, state):
  windows = jnp.zeros((64, 5), jnp.int32)
  pairs = make_pairs(task)(
    state.params["policy"], state.extra, windows, jax.random.key(1)
  )
  for rollout, reward in (
    (pairs.chosen, pairs.chosen_reward),
    (pairs.rejected, pairs.rejected_reward),
  ):
    np.testing.assert_array_equal(task.reward(state.extra, rollout), reward)


def test_halves_are_of_one_prompt():
  first, second = halves({"x": jnp.array([0, 0, 1, 1, 2, 2]) * 10 + jnp.arange(6) % 2})
  np.testing.assert_array_equal(first["x"], [0, 10, 20])
  np.testing.assert_array_equal(second["x"], [1, 11, 21])


def test_where_chooses_rows():
  x, y = jnp.zeros((2, 3)), jnp.ones((2, 3))
  found = where(jnp.array([True, False]), x, y)
  np.testing.assert_array_equal(found, [[0, 0, 0], [1, 1, 1]])
