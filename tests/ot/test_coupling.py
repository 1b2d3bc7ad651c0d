"""Pairs drawn from a plan: as often as it says, and nearer than pairs at random."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import ot
from jgm.ot.coupling import minibatch_coupling, sample_coupling

NUM = 4000  # draws


def drawn(key, result, num=NUM):
  """The share of each j among the partners of each i, [n, m]."""
  draw = jax.jit(jax.vmap(lambda key: sample_coupling(key, result)))
  partner = np.asarray(draw(jax.random.split(key, num)))
  m = result.problem.shape[1]
  return np.stack([np.bincount(rows, minlength=m) for rows in partner.T]) / num


@pytest.mark.parametrize("block_size", [None, 2])
def test_partners_come_as_often_as_the_plan_says(key, block_size):
  """Each share has a standard deviation below 1 / (2 sqrt(NUM)); a weight is zero."""
  rng = np.random.default_rng(1)
  x, y = rng.normal(size=(5, 2)), rng.normal(size=(4, 2))
  b = np.array([0.5, 0.0, 0.3, 0.2])
  mode = "online" if block_size else "kernel"
  result = ot.sinkhorn(x, y, b=b, epsilon=0.5, mode=mode, block_size=block_size)
  plan = np.asarray(ot.plan(result))
  shares = drawn(key, result)
  expected = plan / plan.sum(axis=1, keepdims=True)
  np.testing.assert_allclose(shares, expected, atol=5 * 0.5 / NUM**0.5)
  assert not shares[:, 1].any()
  # And so each point of y is drawn as often as it weighs.
  np.testing.assert_allclose(shares.mean(axis=0), b, atol=0.02)


def test_a_weight_of_zero_at_the_end_is_never_drawn(key):
  x = np.zeros((3, 2))
  y, b = np.zeros((4, 2)), np.array([0.5, 0.5, 0.0, 0.0])
  result = ot.sinkhorn(x, y, b=b, epsilon=1.0)
  shares = drawn(key, result, num=100)
  assert not shares[:, 2:].any() and shares[:, :2].all()


def test_small_epsilon_gives_the_assignment_of_least_cost(key):
  """On a line the sorted one; to swap neighbours costs 2 more, epsilon is 0.03."""
  y = np.random.default_rng(0).permutation(12).astype("f")[:, None]
  x = np.arange(12.0, dtype="f")[:, None] + 0.3
  partner = minibatch_coupling(key, x, y, epsilon=1e-3, tolerance=1e-4)
  np.testing.assert_array_equal(y[partner, 0], np.arange(12.0))


def test_pairs_are_nearer_than_at_random_and_each_y_comes_once_on_average(key):
  """Of 50 minibatches: the mean count of a row has a deviation of about 0.1."""
  key_x, key_y, key_draw = jax.random.split(key, 3)
  x = jax.random.normal(key_x, (50, 64, 2)) @ jnp.array([[2.0, 0.0], [0.0, 0.1]])
  y = jax.random.normal(key_y, (50, 64, 2))
  couple = jax.jit(jax.vmap(lambda key, x, y: minibatch_coupling(key, x, y)))
  partner = couple(jax.random.split(key_draw, 50), x, y)
  cost = lambda y: float(jnp.mean(jnp.sum((x - y) ** 2, axis=-1)))
  coupled = jnp.take_along_axis(y, partner[..., None], axis=1)
  assert cost(coupled) < 0.5 * cost(y)
  counts = np.stack([np.bincount(rows, minlength=64) for rows in np.asarray(partner)])
  # If they were the nearest neighbours, some y would come often and many never.
  assert np.abs(counts.mean(axis=0) - 1).max() < 0.6
  # What is drawn has the distribution of y: variance 1 to 4 sigma of 6,400 numbers.
  assert float(jnp.var(coupled)) == pytest.approx(1.0, abs=4 * (2 / 6400) ** 0.5 + 0.03)


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 1.0, 5.0])
def test_within_a_label_alone(epsilon, key):
  x, y = np.random.default_rng(0).normal(size=(2, 64, 2)).astype("f")
  label = jnp.arange(64) % 3
  couple = lambda key: minibatch_coupling(key, x, y, label=label, epsilon=epsilon)
  partner = np.asarray(jax.jit(jax.vmap(couple))(jax.random.split(key, 20)))
  np.testing.assert_array_equal(label[partner], np.broadcast_to(label, (20, 64)))
  assert (partner != np.arange(64)[None]).any(axis=1).all()


def test_within_a_label_though_a_trade_would_save_many_mean_costs(key):
  """The one pair of label 1 is 40 apart, and each end lies on a point of label 0."""
  x, y = np.random.default_rng(0).normal(size=(2, 64, 2)).astype("f")
  x[0], y[0], x[1], y[1] = (20.0, 0.0), (-20.0, 0.0), (-20.0, 0.0), (20.0, 0.0)
  label = (jnp.arange(64) == 0).astype(jnp.int32)
  partner = minibatch_coupling(key, x, y, label=label)
  np.testing.assert_array_equal(label[partner], label)


def test_points_that_are_all_one_and_sizes_that_differ(key):
  same = jnp.ones((4, 2))
  partner = minibatch_coupling(key, same, same)
  assert partner.shape == (4,) and set(np.asarray(partner)) <= set(range(4))
  with pytest.raises(ValueError, match="as many x as y"):
    minibatch_coupling(jax.random.clone(key), same, same[:2])
