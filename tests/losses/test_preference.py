"""Losses of preferences, against trl's arrays and optima that are known."""

import hashlib
import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from einops import repeat

from jgm.eval import enumeration
from jgm.losses.kl import categorical_kl
from jgm.losses.preference import (
  bradley_terry_loss,
  dpo_loss,
  implicit_reward,
  ipo_loss,
  reward_at_end,
  reward_centering_loss,
  sequence_logp,
)

REFERENCE = pathlib.Path(__file__).parents[1] / "references" / "trl_preference.npz"
SEQUENCES = enumeration.all_sequences(4, 4)
ROWS = enumeration.prefix_rows(SEQUENCES, 4)
BETA, TAU = 0.5, 0.2


@pytest.fixture(scope="module")
def trl():
  about = json.loads(REFERENCE.with_suffix(".json").read_text())
  assert hashlib.sha256(REFERENCE.read_bytes()).hexdigest() == about["sha256"]
  return dict(np.load(REFERENCE))


def pairs(trl, logits, reduction):
  """log-probabilities (chosen [B], rejected [B]) of trl's batch."""
  prompt = np.tile(trl["prompt_input_ids"], (2, 1))
  answer, mask = (
    np.concatenate([trl[f"chosen_{name}"], trl[f"rejected_{name}"]])
    for name in ("input_ids", "attention_mask")
  )
  tokens = np.concatenate([prompt, answer], axis=1)
  mask = np.concatenate([0 * prompt, mask], axis=1)
  logp = sequence_logp(
    logits[:, :-1], jnp.asarray(tokens[:, 1:]), mask[:, 1:], reduction=reduction
  )
  return jnp.split(logp, 2)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("loss", ["logp", "ipo", "dpo", "dpo/smoothed"])
def test_they_are_trl_s(trl, loss, reduction):
  """From logits to losses, and back to gradients by the logits."""
  if loss[:3] == "dpo" and reduction == "mean":
    return  # trl's DPO is of sums alone
  beta = float(trl["beta"])
  smoothing = float(trl["label_smoothing"]) if "smoothed" in loss else 0.0

  def ours(logits):
    policy = pairs(trl, logits, reduction)
    ref = pairs(trl, jnp.asarray(trl["ref_logits"]), reduction)
    if loss == "logp":
      return jnp.stack(policy)
    if loss == "ipo":
      return ipo_loss(*policy, *ref, tau=beta)
    return dpo_loss(*policy, *ref, beta=beta, label_smoothing=smoothing)

  with jax.enable_x64(True):
    logits = jnp.asarray(trl["policy_logits"])
    name = loss if loss[:3] == "dpo" else f"{loss}/{reduction}"
    np.testing.assert_allclose(ours(logits), trl[name], rtol=1e-10)
    slope = jax.jit(jax.grad(lambda logits: jnp.sum(ours(logits))))(logits)
    np.testing.assert_allclose(slope, trl[f"{name}/gradient"], atol=1e-12)


def test_implicit_rewards_are_trl_s(trl):
  with jax.enable_x64(True):
    policy = pairs(trl, jnp.asarray(trl["policy_logits"]), "sum")
    ref = pairs(trl, jnp.asarray(trl["ref_logits"]), "sum")
    for logp, ref_logp, wanted in zip(policy, ref, trl["rewards"], strict=True):
      actual = implicit_reward(logp, ref_logp, beta=float(trl["beta"]))
      np.testing.assert_allclose(actual, wanted, rtol=1e-10)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_an_empty_row_is_zero_and_silent(reduction):
  """Its logits may be NaN; the rows beside it do not notice."""
  random = np.random.default_rng(0)
  logits = random.standard_normal((3, 4, 5)).astype(np.float32)
  tokens = random.integers(0, 5, (3, 4))
  mask = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0]])
  logits[mask == 0], tokens[mask == 0] = np.nan, -100
  total = lambda x: jnp.sum(sequence_logp(x, tokens, mask, reduction=reduction))
  logp = sequence_logp(logits, tokens, mask, reduction=reduction)
  slope = jax.jit(jax.grad(total))(logits)
  assert logp[1] == 0 and np.all(logp[np.array([0, 2])] < 0)
  assert not slope[mask == 0].any() and np.isfinite(slope).all()
  short = sequence_logp(
    logits[2:, 1:3], tokens[2:, 1:3], np.ones((1, 2)), reduction=reduction
  )
  np.testing.assert_allclose(logp[2:], short, rtol=1e-6)


def test_the_reward_is_read_at_the_last_real_token():
  """Whichever side is padded, as no mean and no pad's would be."""
  rewards = jnp.float32(np.arange(20).reshape(4, 5))
  mask = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [0] * 5, [1, 0, 0, 1, 0]])
  np.testing.assert_array_equal(reward_at_end(rewards, mask), [2, 9, 0, 18])
  poisoned = jnp.where(mask > 0, rewards, jnp.nan)
  np.testing.assert_array_equal(reward_at_end(poisoned, mask > 0), [2, 9, 0, 18])
  slope = jax.grad(lambda r: jnp.sum(reward_at_end(r, mask)))(rewards)
  assert np.sum(slope) == 3 and slope[0, 2] == slope[1, 4] == slope[3, 3] == 1


def test_losses_at_the_reference():
  logps = jnp.float32(np.random.default_rng(0).standard_normal((2, 9)))
  for smoothing in (0.0, 0.3):
    dpo = dpo_loss(*logps, *logps, beta=3.0, label_smoothing=smoothing)
    np.testing.assert_allclose(dpo, math.log(2), rtol=1e-6)
  np.testing.assert_allclose(ipo_loss(*logps, *logps, tau=0.25), 4.0, rtol=1e-6)


def test_label_smoothing_is_the_probability_of_a_flip():
  margin = jnp.linspace(-4.0, 4.0, 17)
  plain = bradley_terry_loss(margin, 0 * margin)
  flipped = bradley_terry_loss(0 * margin, margin)
  smoothed = bradley_terry_loss(margin, 0 * margin, label_smoothing=0.1)
  np.testing.assert_allclose(smoothed, 0.9 * plain + 0.1 * flipped, rtol=1e-6)
  best = jnp.array([math.log(0.9 / 0.1)])
  loss = lambda x: jnp.sum(bradley_terry_loss(x, 0 * x, label_smoothing=0.1))
  assert abs(jax.grad(loss)(best)[0]) < 1e-7


def test_extremes_are_finite():
  ends = jnp.float32(np.meshgrid([-400.0, 0.0], [-400.0, 0.0])).reshape(2, -1)
  for loss in (
    lambda a, b: dpo_loss(a, b, b, a, beta=1.0, label_smoothing=0.1),
    lambda a, b: ipo_loss(a, b, b, a, tau=0.01),
    bradley_terry_loss,
  ):
    total = lambda a, b, f=loss: jnp.sum(f(a, b))
    value, slopes = jax.value_and_grad(total, argnums=(0, 1))(*ends)
    assert np.isfinite(value) and np.isfinite(slopes).all()
  signs = np.random.default_rng(0).choice([-1.0, 1.0], (2, 3, 4))
  logits = 100 * jnp.float32(signs)
  total = lambda x: jnp.sum(sequence_logp(x, jnp.zeros((2, 3), int), jnp.ones((2, 3))))
  value, slope = jax.value_and_grad(total)(logits)
  assert np.isfinite(value) and np.isfinite(slope).all()


def test_the_reference_is_frozen():
  x = jnp.linspace(-2.0, -1.0, 5)
  for loss in (
    lambda *logps: dpo_loss(*logps, beta=0.3),
    lambda *logps: ipo_loss(*logps, tau=0.3),
  ):
    total = lambda *logps, f=loss: jnp.sum(f(*logps))
    slopes = jax.grad(total, argnums=(0, 1, 2, 3))(x, 2 * x, x + 0.1, x)
    assert slopes[0].any() and slopes[1].any()
    assert not slopes[2].any() and not slopes[3].any()


def make_problem(dtype):
  """The logits of a reference, and a reward of every sequence."""
  random = np.random.default_rng(0)
  table = random.standard_normal((enumeration.num_prefixes(4, 4), 4))
  return jnp.asarray(table, dtype), jnp.asarray(random.standard_normal(256), dtype)


def policy(table):
  return sequence_logp(table[ROWS], SEQUENCES, np.ones(SEQUENCES.shape))


def expected_loss(logp, ref_logp, reward, *, method):
  """Over all 256 x 256 pairs of answers of the reference, labelled by Bradley-Terry."""
  first, second = (
    repeat(jnp.arange(256), to) for to in ("i -> (i 256)", "i -> (256 i)")
  )
  arrays = logp[first], logp[second], ref_logp[first], ref_logp[second]
  losses = {
    "dpo": lambda: dpo_loss(*arrays, beta=BETA),
    "ipo": lambda: ipo_loss(*arrays, tau=TAU),
  }
  drawn = jnp.exp(ref_logp[first] + ref_logp[second])
  chosen = enumeration.preferences(reward)[first, second]
  return 2 * jnp.sum(drawn * chosen * losses[method]())  # either may be the chosen one


def optimum(ref_logp, reward, *, method):
  if method == "dpo":
    return enumeration.optimal_logp(ref_logp, reward, beta=BETA)
  wins = enumeration.preferred(enumeration.preferences(reward), ref_logp)
  return enumeration.optimal_logp(ref_logp, wins, beta=TAU)


@pytest.mark.parametrize("method", ["dpo", "ipo"])
def test_no_gradient_at_the_optimum(method):
  with jax.enable_x64(True):
    ref_table, reward = make_problem(jnp.float64)
    ref_logp = policy(ref_table)
    slope = jax.jit(
      jax.grad(lambda logp: expected_loss(logp, ref_logp, reward, method=method))
    )
    best = optimum(ref_logp, reward, method=method)
    np.testing.assert_allclose(slope(best), 0 * best, atol=1e-14)
    assert np.max(np.abs(slope(ref_logp))) > 1e-3


@pytest.mark.parametrize("method", ["dpo", "ipo"])
def test_descent_ends_at_the_optimum(method):
  """By L-BFGS on the exact loss of a table of logits, from the reference."""
  ref_table, reward = make_problem(jnp.float32)
  ref_logp = policy(ref_table)
  best = optimum(ref_logp, reward, method=method)
  objective = lambda table: expected_loss(
    policy(table), ref_logp, reward, method=method
  )
  tx, value_and_grad = optax.lbfgs(), optax.value_and_grad_from_state(objective)

  def step(carry, _):
    table, opt_state = carry
    value, slope = value_and_grad(table, state=opt_state)
    updates, opt_state = tx.update(
      slope, opt_state, table, value=value, grad=slope, value_fn=objective
    )
    return (table + updates, opt_state), value

  @jax.jit
  def descend(table):
    carry = table, tx.init(table)
    return jax.lax.scan(step, carry, length=200)[0][0]

  before = categorical_kl(ref_logp, best)
  after = categorical_kl(policy(descend(ref_table)), best)
  print(f"\n{method}: KL(pi || pi*) {before:.3f} at the reference, {after:.2e} after")
  assert before > 0.1 and after < 1e-3


def test_what_is_wrong_is_refused():
  x, column = jnp.zeros(3), jnp.zeros((3, 1))
  for smoothing in (-0.1, 0.5):
    with pytest.raises(ValueError, match="label_smoothing"):
      bradley_terry_loss(x, x, label_smoothing=smoothing)
  with pytest.raises(ValueError, match="reduction"):
    sequence_logp(jnp.zeros((2, 3, 4)), jnp.zeros((2, 3), int), x, reduction="max")
  for arrays in ((x, column, x, x), (x, x, column, x), (x, x, x, column)):
    with pytest.raises(AssertionError):
      dpo_loss(*arrays, beta=0.1)
    with pytest.raises(AssertionError):
      ipo_loss(*arrays, tau=0.1)
  with pytest.raises(AssertionError):
    sequence_logp(jnp.zeros((2, 3, 4)), jnp.zeros((2, 3), int), jnp.ones((2, 1)))


def test_centering_is_least_at_a_mean_of_zero_and_keeps_the_difference():
  """Beside the preferences of one pair, by gradient descent on both rewards."""
  weight, probability = 0.01, 0.8

  def loss(rewards):
    first, second = rewards[:1], rewards[1:]
    seen = probability * bradley_terry_loss(first, second)
    seen += (1 - probability) * bradley_terry_loss(second, first)
    return jnp.sum(seen + weight * reward_centering_loss(first, second))

  descend = lambda _, rewards: rewards - 1.0 * jax.grad(loss)(rewards)
  found = jax.lax.fori_loop(0, 3000, descend, jnp.array([3.0, 2.0]))
  np.testing.assert_allclose(found.mean(), 0.0, atol=1e-4)
  np.testing.assert_allclose(found[0] - found[1], np.log(4.0), rtol=1e-3)
