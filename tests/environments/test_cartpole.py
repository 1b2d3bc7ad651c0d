"""CartPole against gymnasium's, and the book-keeping of episodes that end."""

import json
import pathlib
from hashlib import sha256

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.environments import (
  CARTPOLE,
  Environment,
  advance,
  begin,
  held_after_end,
  play,
  rollout,
)
from jgm.environments.cartpole import SOLVED, TIME_LIMIT, accelerations, reset, step

REFERENCE = pathlib.Path(__file__).parents[1] / "references" / "gymnasium_cartpole.npz"


@pytest.fixture(scope="module")
def gymnasium():
  about = json.loads(REFERENCE.with_suffix(".json").read_text())
  assert about["sha256"] == sha256(REFERENCE.read_bytes()).hexdigest()
  return dict(np.load(REFERENCE))


@pytest.mark.parametrize(
  ("dtype", "tolerance"), [(np.float32, 2e-6), (np.float64, 1e-12)]
)
def test_transitions_are_gymnasiums(gymnasium, dtype, tolerance):
  with jax.enable_x64(dtype == np.float64):
    states = jnp.asarray(gymnasium["states"], dtype)
    found = jax.jit(jax.vmap(step))(states, jnp.asarray(gymnasium["actions"]))
    next_states, rewards, terminated = jax.device_get(found)
  assert next_states.dtype == dtype and rewards.dtype == dtype
  np.testing.assert_allclose(
    next_states, gymnasium["next_states"], rtol=tolerance, atol=tolerance
  )
  np.testing.assert_array_equal(terminated, gymnasium["terminated"])
  np.testing.assert_array_equal(rewards, gymnasium["rewards"])
  assert 100 < terminated.sum() < 900


@pytest.mark.parametrize("name", ["balance", "lean"])
def test_whole_episodes_are_gymnasiums(gymnasium, name):
  """In float64, from gymnasium's starts: where, when and how each one ends."""
  weights = {"balance": [0.1, 0.5, 10.0, 2.0], "lean": [0.0, 0.0, 1.0, 0.0]}[name]
  with jax.enable_x64(True):
    starts = jnp.asarray(gymnasium[f"{name}/starts"])
    policy = lambda x, key: (x @ jnp.array(weights) > 0).astype(jnp.int32)
    episodes = begin(CARTPOLE, jax.random.key(0), len(starts))._replace(state=starts)
    run = jax.jit(lambda e, key: rollout(CARTPOLE, policy, e, key, TIME_LIMIT)[1])
    seen = jax.device_get(run(episodes, jax.random.key(1)))
  rows, last = np.arange(len(starts)), np.argmax(seen.ended, axis=1)
  np.testing.assert_array_equal(last + 1, gymnasium[f"{name}/lengths"])
  np.testing.assert_array_equal(
    seen.terminated[rows, last], gymnasium[f"{name}/terminated"]
  )
  np.testing.assert_array_equal(
    seen.truncated[rows, last], gymnasium[f"{name}/truncated"]
  )
  if name == "lean":  # 500 pushes multiply a rounding error of 1e-16 by 1e12
    np.testing.assert_allclose(
      seen.next_observation[rows, last], gymnasium[f"{name}/lasts"], atol=1e-9
    )
  np.testing.assert_array_equal(seen.total_reward[rows, last], last + 1)


def test_its_numbers_are_gymnasiums(gymnasium):
  assert gymnasium["time_limit"] == CARTPOLE.time_limit
  assert gymnasium["reward_threshold"] == SOLVED


def test_the_mirrored_cart_is_the_mirrored_motion():
  states = jax.random.normal(jax.random.key(0), (20, 4))
  right, left = jnp.ones(20, jnp.int32), jnp.zeros(20, jnp.int32)
  both = jax.vmap(accelerations)
  here, there = both(states, right), both(-states, left)
  for one, other in zip(here, there, strict=True):
    np.testing.assert_allclose(one, -other, rtol=1e-6)


def test_starts_are_uniform():
  """The mean of n of them is within 5 standard deviations; so is their variance."""
  n = 4000
  starts = np.asarray(jax.vmap(reset)(jax.random.split(jax.random.key(0), n)))
  assert np.abs(starts).max() <= 0.05
  variance = 0.05**2 / 3
  np.testing.assert_allclose(starts.mean(0), 0, atol=5 * (variance / n) ** 0.5)
  spread = (0.05**4 / 5 - variance**2) ** 0.5
  np.testing.assert_allclose(starts.var(0), variance, atol=5 * spread / n**0.5)


def counter(terminates_at, time_limit):
  """An environment of one number, which each action adds to; it pays that number."""
  step = lambda state, action: (
    state + action,
    (state + action).astype(jnp.float32),
    state + action >= terminates_at,
  )
  return Environment(
    reset=lambda key: jnp.int32(0),
    step=step,
    observe=lambda state: state[None],
    num_actions=2,
    observation_size=1,
    time_limit=time_limit,
  )


def test_an_ended_episode_is_followed_by_a_new_one(key):
  """By hand: 3 terminates the first row, the limit of 4 steps cuts the second."""
  environment = counter(3, 4)
  actions = jnp.array([[1, 1, 1, 1, 1], [1, 0, 0, 1, 1]])
  key_begin, key_steps = jax.random.split(key)
  episodes, rows = begin(environment, key_begin, 2), []
  for i, now in enumerate(actions.T):
    episodes, row = advance(
      environment, episodes, now, jax.random.fold_in(key_steps, i)
    )
    rows.append(row)
  seen = jax.tree.map(lambda *leaves: np.stack(leaves, 1), *rows)
  wanted = {
    "observation": [[0, 1, 2, 0, 1], [0, 1, 1, 1, 0]],
    "next_observation": [[1, 2, 3, 1, 2], [1, 1, 1, 2, 1]],
    "reward": [[1, 2, 3, 1, 2], [1, 1, 1, 2, 1]],
    "terminated": [[0, 0, 1, 0, 0], [0, 0, 0, 0, 0]],
    "truncated": [[0, 0, 0, 0, 0], [0, 0, 0, 1, 0]],
    "num_steps": [[1, 2, 3, 1, 2], [1, 2, 3, 4, 1]],
    "total_reward": [[1, 3, 6, 1, 3], [1, 2, 3, 5, 1]],
  }
  for name, value in wanted.items():
    found = getattr(seen, name)
    np.testing.assert_array_equal(found.reshape(2, 5), value, err_msg=name)
  np.testing.assert_array_equal(seen.ended, seen.terminated | seen.truncated)
  np.testing.assert_array_equal(episodes.state, [2, 1])
  np.testing.assert_array_equal(episodes.num_steps, [2, 1])


def test_a_termination_at_the_limit_is_no_truncation(key):
  environment = counter(2, 2)
  key_begin, key_play = jax.random.split(key)
  always = lambda observation, key: jnp.ones(len(observation), jnp.int32)
  episodes = begin(environment, key_begin, 1)
  _, seen = rollout(environment, always, episodes, key_play, 2)
  assert bool(seen.terminated[0, 1]) and not bool(seen.truncated[0, 1])


def test_two_rollouts_are_one_of_their_length(key):
  keys = jax.random.split(key, 4)
  right = lambda x, key: (x[:, 2] > 0).astype(jnp.int32)
  run = jax.jit(
    lambda episodes, key, n: rollout(CARTPOLE, right, episodes, key, n),
    static_argnums=2,
  )
  start = begin(CARTPOLE, keys[0], 3)
  end, whole = run(start, keys[1], 10)
  between, first = run(start, keys[2], 4)
  last, second = run(between, keys[3], 6)
  assert not bool(whole.ended.any())
  for a, b, c in zip(whole, first, second, strict=True):
    np.testing.assert_allclose(a, jnp.concatenate([b, c], axis=1), rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(end.state, last.state, rtol=1e-5, atol=1e-6)


def test_whole_episodes_are_played_and_the_last_observation_held(key):
  environment = counter(3, 5)
  # the first row adds 1 at each step, the second never
  policy = lambda observation, key: jnp.array([1, 0], jnp.int32)
  transitions, mask = play(environment, policy, key, 2)
  np.testing.assert_array_equal(mask, [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
  held = held_after_end(transitions, mask)
  np.testing.assert_array_equal(held[..., 0], [[1, 2, 3, 3, 3], [0, 0, 0, 0, 0]])


def test_what_is_no_state_is_refused():
  with pytest.raises(AssertionError):
    step(jnp.zeros(3), jnp.int32(0))
  with pytest.raises(AssertionError):
    step(jnp.zeros(4), jnp.zeros(1, jnp.int32))
