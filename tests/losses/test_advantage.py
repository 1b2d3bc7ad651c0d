"""Returns and advantages, against rlax's arrays and episodes taken one at a time."""

import hashlib
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.losses.advantage import discounted_returns, generalized_advantages

REFERENCE = pathlib.Path(__file__).parents[1] / "references" / "rlax_policy.npz"
GAMMA = 0.9


@pytest.fixture(scope="module")
def rlax():
  about = json.loads(REFERENCE.with_suffix(".json").read_text())
  assert hashlib.sha256(REFERENCE.read_bytes()).hexdigest() == about["sha256"]
  return dict(np.load(REFERENCE))


def advantages_of(rlax, **keywords):
  values = jnp.asarray(rlax["values"])
  rewards, discounts = jnp.asarray(rlax["rewards"]), jnp.asarray(rlax["discounts"])
  return generalized_advantages(
    rewards, discounts, values[:, :-1], values[:, 1:], **keywords
  )


@pytest.mark.parametrize("lambda_", [0.0, 0.9, 1.0])
def test_advantages_are_rlax_s(rlax, lambda_):
  with jax.enable_x64(True):
    actual = advantages_of(rlax, lambda_=lambda_)
    np.testing.assert_allclose(actual, rlax[f"gae/{lambda_}"], rtol=1e-12, atol=1e-14)


def test_cut_advantages_and_returns_are_rlax_s(rlax):
  with jax.enable_x64(True):
    actual = advantages_of(rlax, lambda_=0.9, ends=jnp.asarray(rlax["ends"]))
    np.testing.assert_allclose(actual, rlax["gae/cut"], rtol=1e-12, atol=1e-14)
    returns = discounted_returns(
      *(jnp.asarray(rlax[name]) for name in ("rewards", "discounts")),
      jnp.asarray(rlax["values"][:, -1]),
    )
    np.testing.assert_allclose(returns, rlax["returns"], rtol=1e-12, atol=1e-14)


def test_lambda_one_is_monte_carlo_and_zero_is_td(rlax):
  with jax.enable_x64(True):
    rewards, discounts, values = (
      jnp.asarray(rlax[name]) for name in ("rewards", "discounts", "values")
    )
    returns = discounted_returns(rewards, discounts, values[:, -1])
    monte_carlo = advantages_of(rlax, lambda_=1.0)
    np.testing.assert_allclose(monte_carlo, returns - values[:, :-1], atol=1e-12)
    errors = rewards + discounts * values[:, 1:] - values[:, :-1]
    np.testing.assert_allclose(advantages_of(rlax, lambda_=0.0), errors, atol=1e-14)


def test_each_episode_of_a_stream_is_itself():
  """One that terminates, one cut by a time limit, one cut by the rollout's end.

  The state after the time limit has its value; the next column has another's.
  """
  random = np.random.default_rng(0)
  lengths = (3, 4, 2)
  rewards = [random.standard_normal(n).astype(np.float32) for n in lengths]
  values = [random.standard_normal(n + 1).astype(np.float32) for n in lengths]

  def estimate(rewards, discounts, values, next_values, ends=None):
    rows = (jnp.asarray(x)[None] for x in (rewards, discounts, values, next_values))
    ends = None if ends is None else jnp.asarray(ends)[None]
    return generalized_advantages(*rows, lambda_=0.8, ends=ends)[0]

  discounts = [np.full(n, GAMMA, np.float32) for n in lengths]
  discounts[0][-1] = 0.0
  alone = [
    estimate(r, d, v[:-1], v[1:])
    for r, d, v in zip(rewards, discounts, values, strict=True)
  ]
  ends = np.zeros(sum(lengths), bool)
  ends[[2, 6, 8]] = True
  stream = estimate(
    np.concatenate(rewards),
    np.concatenate(discounts),
    np.concatenate([v[:-1] for v in values]),
    np.concatenate([v[1:] for v in values]),
    ends,
  )
  np.testing.assert_allclose(stream, np.concatenate(alone), rtol=1e-6, atol=1e-6)
  # cut by the time limit, it still expects what would have come
  td = rewards[1][-1] + GAMMA * values[1][-1] - values[1][-2]
  np.testing.assert_allclose(stream[6], td, rtol=1e-6)


def test_padding_changes_nothing_before_it():
  rewards = jnp.array([[1.0, 2.0, 3.0, 50.0]])
  discounts = jnp.array([[1.0, 1.0, 0.0, 1.0]])
  actual = discounted_returns(rewards, discounts, jnp.array([70.0]))
  np.testing.assert_allclose(actual[0, :3], [6.0, 5.0, 3.0])


def test_advantages_are_targets(rlax):
  """No gradient goes into the value function."""
  loss = lambda v: jnp.sum(generalized_advantages(v, v, v, v, lambda_=0.5))
  assert not jax.grad(loss)(jnp.float32(rlax["rewards"])).any()


def test_wrong_shapes_are_refused():
  x = jnp.zeros((2, 3))
  with pytest.raises(AssertionError):
    generalized_advantages(x, x, jnp.zeros((2, 4)), x, lambda_=0.9)
  with pytest.raises(AssertionError):
    generalized_advantages(x, x, x, x, lambda_=0.9, ends=jnp.zeros(3))
  with pytest.raises(AssertionError):
    discounted_returns(x, x, jnp.zeros((2, 1)))
