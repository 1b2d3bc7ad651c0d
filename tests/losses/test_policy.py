"""Losses of policies, against rlax's arrays and an enumerable problem."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jgm.eval.enumeration import (
  all_sequences,
  expectation,
  num_prefixes,
  optimal_logp,
  prefix_rows,
)
from jgm.losses.autoregressive import cross_entropy
from jgm.losses.kl import categorical_kl
from jgm.losses.policy import (
  policy_gradient_loss,
  ppo_policy_loss,
  ppo_value_loss,
  surrogate_loss,
)
from jgm.losses.ratio import probability_ratio

REFERENCE = pathlib.Path(__file__).parents[1] / "references" / "rlax_policy.npz"
SEQUENCES = all_sequences(4, 4)
ROWS = prefix_rows(SEQUENCES, 4)
LOSSES = {
  "surrogate": surrogate_loss,
  "ppo": ppo_policy_loss,
  "policy_gradient": lambda logp, _, advantages: policy_gradient_loss(logp, advantages),
}
EVERY = pytest.mark.parametrize("name", LOSSES)


def token_logp(table):
  """log pi of each token of all sequences [256, 4], from the logits of every prefix."""
  return -cross_entropy(table[ROWS], SEQUENCES)


def sequence_logp(table):
  return jnp.sum(token_logp(table), axis=1)


def make_problem(dtype):
  """The reference's logits, and a reward of every sequence."""
  random = np.random.default_rng(0)
  table = random.standard_normal((num_prefixes(4, 4), 4))
  return jnp.asarray(table, dtype), jnp.asarray(random.standard_normal(256), dtype)


@pytest.fixture
def rlax():
  with jax.enable_x64(True):
    yield {name: jnp.asarray(value) for name, value in np.load(REFERENCE).items()}


def test_the_clipped_surrogate_is_rlax_s(rlax):
  logp, old_logp, advantages = rlax["logp"], rlax["old_logp"], rlax["advantages"]
  loss = lambda x: ppo_policy_loss(x, old_logp, advantages, clip=float(rlax["clip"]))
  np.testing.assert_allclose(loss(logp), rlax["ppo"], rtol=1e-12)
  slope = jax.grad(lambda x: jnp.sum(loss(x)))(logp)
  np.testing.assert_allclose(slope, rlax["ppo/gradient"], rtol=1e-12)
  # all four cases are among these: either sign, within the clip and beyond it
  for positive in (True, False):
    slopes = slope[(advantages > 0) == positive]
    assert np.any(slopes == 0) and np.any(slopes != 0)


def test_the_policy_gradient_is_rlax_s(rlax):
  actions = rlax["actions"]

  def loss(logits):
    logp = -cross_entropy(logits, actions)
    return policy_gradient_loss(logp, rlax["advantages"])

  np.testing.assert_allclose(loss(rlax["logits"]), rlax["policy_gradient"], rtol=1e-12)
  slope = jax.grad(lambda logits: jnp.sum(loss(logits)))(rlax["logits"])
  np.testing.assert_allclose(slope, rlax["policy_gradient/gradient"], atol=1e-14)


@EVERY
def test_in_expectation_it_is_the_gradient_of_the_reward(name):
  """Of all 256 sequences; any baseline, and token by token as of whole sequences."""
  with jax.enable_x64(True):
    table, reward = make_problem(jnp.float64)
    old = jax.lax.stop_gradient(token_logp(table))
    p = jnp.exp(jnp.sum(old, axis=1))

    def by_sequence(table):
      loss = LOSSES[name](sequence_logp(table), jnp.sum(old, axis=1), reward - 7.0)
      return jnp.sum(p * loss)

    def by_token(table):
      advantages = jnp.broadcast_to(reward[:, None] - 0.3, old.shape)
      return jnp.sum(p[:, None] * LOSSES[name](token_logp(table), old, advantages))

    slope = lambda f: jax.jit(jax.grad(f))(table)
    wanted = slope(lambda table: -expectation(sequence_logp(table), reward))
    assert np.max(np.abs(wanted)) > 0.01
    np.testing.assert_allclose(slope(by_sequence), wanted, atol=1e-12)
    np.testing.assert_allclose(slope(by_token), wanted, atol=1e-12)


@pytest.mark.parametrize("clip", [0.0001, 0.2])
def test_ppo_at_ratio_one_is_the_policy_gradient(clip):
  random = np.random.default_rng(0)
  logp, advantages = jnp.float32(random.standard_normal((2, 50)))
  ppo = lambda x: jnp.sum(ppo_policy_loss(x, logp, advantages, clip=clip))
  np.testing.assert_allclose(jax.grad(ppo)(logp), -advantages, rtol=1e-6)


def test_the_surrogate_is_the_reward_of_the_new_policy():
  with jax.enable_x64(True):
    table, reward = make_problem(jnp.float64)
    logp, old_logp = sequence_logp(0.3 * table - 1), sequence_logp(table)
    loss = surrogate_loss(logp, old_logp, reward)
    wanted = -expectation(logp, reward)
    np.testing.assert_allclose(expectation(old_logp, loss), wanted, rtol=1e-12)
    assert np.all(ppo_policy_loss(logp, old_logp, reward) >= loss)
    mean_ratio = expectation(old_logp, probability_ratio(logp, old_logp))
    np.testing.assert_allclose(mean_ratio, 1.0, rtol=1e-12)


def test_the_value_moves_no_further_than_the_clip():
  values = jnp.array([0.1, 0.5, 0.5, -0.5, 3.0])
  old, returns = jnp.zeros(5), jnp.array([1.0, 1.0, -1.0, 1.0, 3.0])
  total = lambda v: jnp.sum(ppo_value_loss(v, old, returns, clip=0.2))
  loss = ppo_value_loss(values, old, returns, clip=0.2)
  plain = 0.5 * (values - returns) ** 2
  # beyond the clip towards the return it is what it was at the clip, with no gradient
  wanted = [plain[0], 0.5 * 0.8**2, plain[2], plain[3], 0.5 * 2.8**2]
  np.testing.assert_allclose(loss, wanted, rtol=1e-6)
  slope = np.where([1, 0, 1, 1, 0], values - returns, 0.0)
  np.testing.assert_allclose(jax.grad(total)(values), slope, rtol=1e-6)
  assert np.all(loss >= plain)


def test_only_the_policy_has_a_gradient():
  x = jnp.linspace(-1.0, 1.0, 7)
  for loss in (surrogate_loss, ppo_policy_loss, ppo_value_loss):
    total = lambda *arrays, f=loss: jnp.sum(f(*arrays))
    slopes = jax.grad(total, argnums=(0, 1, 2))(x + 0.01, x, x + 0.1)
    assert slopes[0].any() and not slopes[1].any() and not slopes[2].any()
  assert not jax.grad(lambda a: jnp.sum(policy_gradient_loss(x, a)))(x).any()


@EVERY
def test_extreme_log_probabilities_are_finite(name):
  logp, old_logp = jnp.float32(np.meshgrid([0.0, -100.0, -200.0], [0.0, -200.0]))
  for advantage in (-3.0, 0.0, 3.0):
    total = lambda x, a=advantage: jnp.sum(
      LOSSES[name](x, old_logp, jnp.full_like(x, a))
    )
    value, slope = jax.value_and_grad(total)(logp)
    assert np.isfinite(value) and np.isfinite(slope).all()
    # what was bad is made less likely, what was good more
    assert np.all(np.asarray(slope) * advantage <= 0)


def test_the_ratio_follows_its_tangent():
  slope = jax.vmap(jax.grad(lambda x: probability_ratio(x, jnp.zeros_like(x))))
  x = jnp.array([-50.0, 0.0, 19.0, 30.0, 200.0])
  np.testing.assert_allclose(slope(x), np.exp(np.minimum(x, 20)), rtol=1e-5)
  ratio = probability_ratio(x, 0 * x)
  np.testing.assert_allclose(ratio[:3], np.exp(x[:3]), rtol=1e-5)
  np.testing.assert_allclose(ratio[3], np.exp(20) * 11, rtol=1e-5)


def test_ppo_ends_at_the_optimum():
  """Of E reward - beta KL(pi || ref), on exact expectations, from the reference."""
  beta, num_rounds, num_updates = 0.5, 150, 4
  ref_table, reward = make_problem(jnp.float32)
  ref_logp = sequence_logp(ref_table)
  best = optimal_logp(ref_logp, reward, beta=beta)
  tx = optax.adam(optax.cosine_decay_schedule(0.05, num_rounds * num_updates))

  def one_round(carry, _):
    table, opt_state = carry
    old = token_logp(table)
    old_logp = jnp.sum(old, axis=1)
    earned = reward - beta * (old_logp - ref_logp)
    advantages = earned - expectation(old_logp, earned)
    each = jnp.broadcast_to(advantages[:, None], old.shape)

    def objective(table):
      loss = ppo_policy_loss(token_logp(table), old, each)
      return jnp.sum(jnp.exp(old_logp)[:, None] * loss)

    def update(carry, _):
      table, opt_state = carry
      updates, opt_state = tx.update(jax.grad(objective)(table), opt_state)
      return (table + updates, opt_state), None

    return jax.lax.scan(update, (table, opt_state), length=num_updates)[0], None

  @jax.jit
  def train(table):
    carry = table, tx.init(table)
    return jax.lax.scan(one_round, carry, length=num_rounds)[0][0]

  before = categorical_kl(ref_logp, best)
  after = categorical_kl(sequence_logp(train(ref_table)), best)
  print(f"\nKL(pi || pi*): {before:.3f} at the reference, {after:.2e} after PPO")
  assert before > 0.5 and after < 1e-3


def test_wrong_shapes_are_refused():
  x, column = jnp.zeros(3), jnp.zeros((3, 1))
  for loss in (surrogate_loss, ppo_policy_loss, ppo_value_loss):
    with pytest.raises(AssertionError):
      loss(x, x, column)
    with pytest.raises(AssertionError):
      loss(x, column, x)
  with pytest.raises(AssertionError):
    policy_gradient_loss(x, column)
