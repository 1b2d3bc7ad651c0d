"""PPO on CartPole: what it learns from, and whether it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import cartpole
from jgm.cli.config import load_config
from jgm.core import make_program
from jgm.core.loop import train
from jgm.core.program import base_key
from jgm.environments import CARTPOLE, rollout
from jgm.eval.cartpole import draw_episode
from jgm.eval.returns import Episodes, return_scalars, warn_of_returns


def config_of(preset=":smoke", **changes):
  config = load_config(f"configs/cartpole.py{preset}")
  config.update_from_flattened_dict(changes)
  return config


def begun(config):
  experiment = cartpole.make(config)
  return experiment, jax.jit(experiment.init)(base_key(0), {})


def test_minibatches_are_each_row_in_an_order_of_its_own(key):
  rows, times, n = 4, 6, 3
  numbers = jnp.arange(rows * times).reshape(rows, times)
  batch = {"action": numbers, "observation": jnp.stack([numbers, -numbers], axis=-1)}
  cut = jax.jit(functools.partial(cartpole.minibatches, n=n))(batch, key)
  assert cut["action"].shape == (n, rows * times // n)
  np.testing.assert_array_equal(np.sort(cut["action"], axis=None), np.arange(24))
  np.testing.assert_array_equal(cut["observation"][..., 0], cut["action"])
  np.testing.assert_array_equal(cut["observation"][..., 1], -cut["action"])
  # the rows stay where they are, each in its own place of every minibatch
  by_row = np.asarray(cut["action"]).reshape(n, rows, times // n)
  np.testing.assert_array_equal(by_row // times, np.arange(rows)[:, None] + 0 * by_row)
  orders = by_row.transpose(1, 0, 2).reshape(rows, times) % times
  assert len({tuple(order) for order in orders.tolist()}) > 1


def test_log_probabilities_are_those_of_the_softmax():
  logits = jax.random.normal(jax.random.key(0), (3, 4, 2))
  action = jnp.array([[0, 1, 1, 0]] * 3)
  wanted = np.log(np.asarray(jax.nn.softmax(logits)))
  wanted = np.where(np.asarray(action) == 1, wanted[..., 1], wanted[..., 0])
  np.testing.assert_allclose(cartpole.log_prob(logits, action), wanted, rtol=1e-4)


def test_the_first_step_is_the_gradient_of_reinforce():
  """One epoch of one minibatch, the ratio still 1: -A grad log pi, written out.

  Of the 8 episodes 2 are about to fall, and 3 to reach the time limit.
  """
  rate = 0.1
  config = config_of(num_epochs=1, num_minibatches=1, value_weight=0.0)
  config.optimizer.update(algorithm="sgd", learning_rate=rate, decay="constant")
  config.optimizer.clip_norm = None
  experiment, state = begun(config)
  params = jax.tree.map(lambda p: p + 0.03, state.params)
  episodes = state.extra._replace(
    state=state.extra.state.at[:2, 2].set(0.2).at[:2, 3].set(0.5),
    num_steps=jnp.array([0, 0, 495, 496, 497, 0, 0, 0], jnp.int32),
  )
  state = state.replace(params=params, extra=episodes)
  after, _ = jax.jit(experiment.step)(state, {}, base_key(1))
  seen = rollout_of(config, state)
  assert seen.terminated.sum() >= 2 and seen.truncated.sum() == 3
  actor = functools.partial(mlp, state.params["policy"])
  value = lambda x: mlp(state.params["value"], x)[:, 0]
  advantages = advantages_by_sums(config, seen, value)
  advantages = (advantages - advantages.mean()) / advantages.std()
  observation, action = seen.observation.reshape(-1, 4), seen.action.reshape(-1)

  def loss(params):
    logp = jax.nn.log_softmax(mlp(params, observation))
    chosen = jnp.where(action == 1, logp[:, 1], logp[:, 0])
    return -jnp.mean(chosen * advantages.reshape(-1))

  assert actor(observation).shape == (64, 2)
  gradient = jax.jit(jax.grad(loss))(state.params["policy"])
  wanted = optax.apply_updates(
    state.params["policy"], jax.tree.map(lambda g: -rate * g, gradient)
  )
  for a, b in zip(
    jax.tree.leaves(after.params["policy"]), jax.tree.leaves(wanted), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def mlp(params, x):
  """The network, written out."""
  for name in ("Dense_0", "Dense_1"):
    x = jax.nn.swish(x @ params[name]["kernel"] + params[name]["bias"][None])
  return x @ params["last"]["kernel"] + params["last"]["bias"][None]


def rollout_of(config, state):
  """What the step of key 1 has seen."""
  key, _ = jax.random.split(base_key(1))
  policy = lambda x, key: jax.random.categorical(key, mlp(state.params["policy"], x))
  run = lambda extra, key: rollout(CARTPOLE, policy, extra, key, config.num_steps)[1]
  return jax.device_get(jax.jit(run)(state.extra, key))


def advantages_by_sums(config, seen, value):
  """GAE as its definition has it: a sum of errors, none beyond an episode's end."""
  of = lambda x: np.asarray(value(x.reshape(-1, 4))).reshape(x.shape[:2])
  following = np.where(seen.terminated, 0, config.discount * of(seen.next_observation))
  deltas = seen.reward + following - of(seen.observation)
  rows, times = deltas.shape
  advantages = np.zeros_like(deltas)
  for b in range(rows):
    for t in range(times):
      for k in range(t, times):
        weight = (config.discount * config.gae_lambda) ** (k - t)
        advantages[b, t] += weight * deltas[b, k]
        if seen.ended[b, k]:
          break
  return advantages


def test_the_episodes_go_on_from_step_to_step():
  experiment, state = begun(config_of())
  assert int(state.extra.num_steps.sum()) == 0
  after, metrics = jax.jit(experiment.step)(state, {}, base_key(1))
  # an untrained policy holds the pole up for longer than a rollout of 8 steps
  np.testing.assert_array_equal(after.extra.num_steps, 8)
  assert np.isnan(metrics["episode/return"])


def test_the_return_is_of_the_episodes_that_ended():
  class Seen:
    ended = jnp.array([[False, True, False], [True, False, False]])
    total_reward = jnp.array([[1.0, 7.0, 1.0], [3.0, 1.0, 2.0]])

  assert float(cartpole.episode_metrics(Seen)["episode/return"]) == 5.0


def test_samples_are_whole_episodes():
  experiment, state = begun(config_of())
  samples = np.asarray(experiment.sample(state, base_key(1), 3))
  assert samples.shape == (3, 500, 4)
  for each in samples:
    fallen = (np.abs(each[:, 0]) > 2.4) | (np.abs(each[:, 2]) > np.radians(12))
    end = int(np.argmax(fallen))
    assert end > 0 and not fallen[:end].any()
    np.testing.assert_array_equal(
      each[end:], np.broadcast_to(each[end], (500 - end, 4))
    )


def test_it_learns():
  """A fifth of the default's steps: from about 20 to more than 100."""
  config = config_of(preset="", total_steps=30)
  config.model.features = 32
  experiment = cartpole.make(config)
  program = make_program(experiment, steps_per_call=30, data_devices=1)
  (chunk,) = train(experiment, program, program.init(0), total_steps=30)
  returns = chunk.metrics["episode/return"]
  assert returns[0] < 40 and np.nanmean(returns[-5:]) > 100


def test_returns_stand_between_the_limit_and_chance():
  played = {
    "drawn": Episodes(
      np.zeros((4, 9, 4)), np.array([9.0, 3, 3, 9]), np.array([9, 3, 3, 9])
    ),
    "random": Episodes(np.zeros((4, 9, 4)), np.full(4, 2.0), np.full(4, 2)),
  }
  scalars = return_scalars(played, 9)
  scalar = scalars["return_drawn"]
  assert (scalar.value, scalar.floor, scalar.ceiling) == (6.0, 9.0, 2.0)
  assert "50% reach" in scalar.note and list(scalars) == ["return_drawn"]
  assert not warn_of_returns(scalars, 6.0)
  (warning,) = warn_of_returns(scalars, 7.0)
  assert "6, solved is 7" in warning


def test_an_episode_of_one_step_can_be_drawn():
  for length in (1, 3, 500):
    assert draw_episode(np.zeros((length, 4))).dtype == np.uint8
  with pytest.raises(ValueError, match=r"\[T, 4\]"):
    draw_episode(np.zeros((0, 4)))


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"num_minibatches": 3}, "does not divide"),
    ({"eval.num_samples": 0}, "at least 1"),
  ],
)
def test_what_cannot_be_is_said_by_make(change, message):
  with pytest.raises(ValueError, match=message):
    cartpole.make(config_of(**change))
