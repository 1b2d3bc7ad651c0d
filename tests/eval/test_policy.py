"""The evaluations of policies and reward models, against sums over all completions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.core import new_state
from jgm.data import make_dataset
from jgm.data.tokenizers import ByteTokenizer
from jgm.eval.listed_policy import listed_evaluation
from jgm.eval.optimum import ipo_optimum, reward_optimum
from jgm.eval.policy_pictures import learned_against_given, reward_histogram
from jgm.eval.preferences import preference_scalars, rank_correlation
from jgm.eval.sampled_policy import (
  completions_text,
  policy_warnings,
  sampled_evaluation,
)
from jgm.models.transformer import Decoder, Transformer
from jgm.policy.frozen import begin
from jgm.policy.rollout import Rollout
from jgm.policy.task import make_task


@pytest.fixture(scope="module")
def task():
  """27 completions of nothing, each with a reward of its own."""
  data = make_dataset("no_prompt", batch_size=8, seed=0, context=4, vocab_size=3)
  model = Transformer(Decoder(3, max_length=4, features=8, num_layers=1, num_heads=2))
  rule = {"name": "table", "letters": "", "scale": 1.0, "seed": 0}
  return make_task(data, model, rule=rule, learned=False, num_tokens=3), model


@pytest.fixture(scope="module")
def state(task):
  _, model = task
  _, frozen = begin(model, jax.random.key(0), {}, embedding_scale=20.0)
  policy, _ = begin(model, jax.random.key(1), {}, embedding_scale=20.0)
  params = {"policy": policy}
  return new_state(jax.random.key(2), params, (), ema=True, extra=frozen)


def test_samples_agree_with_the_sum_over_all(task, state):
  listed = listed_evaluation(task[0], reward_optimum(0.5))(state, jax.random.key(0))
  sampled = sampled_evaluation(task[0], num_samples=4000, chunk_size=1000)(
    state, jax.random.key(0)
  )
  exact, found = listed.scalars, sampled.scalars
  reward, expected = found["reward"], exact["expected_reward"]
  error = 4.5 / np.sqrt(4000)  # of a reward with a standard deviation of about 1
  assert abs(reward.value - expected.value) < error
  assert abs(reward.ceiling - expected.ceiling) < error
  kl, exact_kl = found["kl_to_reference_nats"], exact["kl_to_reference_nats"]
  np.testing.assert_allclose(kl.value, exact_kl.value, rtol=0.1)
  assert exact_kl.value > 0.1 and set(sampled.texts) == {
    "before: prompt | completion",
    "after: prompt | completion",
  }


def test_the_best_policies_by_hand():
  ref_logp = np.log([0.5, 0.25, 0.25])
  reward = np.array([0.0, 1.0, 2.0])
  best = np.exp(reward_optimum(0.5)(jnp.asarray(ref_logp), jnp.asarray(reward)))
  expected = np.exp(ref_logp) * np.exp(reward / 0.5)
  np.testing.assert_allclose(best, expected / expected.sum(), rtol=1e-5)
  wins = 1 / (1 + np.exp(reward[None] - reward[:, None])) @ np.exp(ref_logp)
  best = np.exp(ipo_optimum(0.1)(jnp.asarray(ref_logp), jnp.asarray(reward)))
  expected = np.exp(ref_logp) * np.exp(wins / 0.1)
  np.testing.assert_allclose(best, expected / expected.sum(), rtol=1e-5)


def test_without_an_optimum_there_is_no_floor(task, state):
  found = listed_evaluation(task[0], None)(state, jax.random.key(0))
  assert "kl_to_optimum_nats" not in found.scalars and not found.images
  assert found.scalars["expected_reward"].floor is None


def test_preferences_beside_the_judge():
  margin = np.array([1.0, -2.0, 0.0, 3.0])
  judge = np.array([2.0, 1.0, -1.0, 1.0])
  learned, given = np.arange(5.0), np.array([0.0, 1.0, 2.0, 4.0, 3.0])
  found = preference_scalars(margin, judge, learned, given)
  assert found["preference_accuracy"][:3] == (2.5 / 4, 3 / 4, 0.5)
  loss = found["preference_loss_nats"]
  np.testing.assert_allclose(loss.value, np.log1p(np.exp(-margin)).mean())
  np.testing.assert_allclose(loss.floor, np.log1p(np.exp(-judge)).mean())
  np.testing.assert_allclose(found["rank_correlation"].value, 1 - 6 * 2 / (5 * 24))


def test_a_constant_is_not_correlated():
  assert rank_correlation(np.zeros(4), np.arange(4.0)) == 0.0


def test_a_policy_that_says_one_thing_is_warned_of():
  tokens = np.zeros((8, 3), np.int32)
  rollout = Rollout(tokens[:, :1], tokens, np.ones((8, 3)), np.zeros((8, 3)))
  (warning,) = policy_warnings(rollout)
  assert "only 1 of 8" in warning
  assert policy_warnings(rollout._replace(tokens=np.arange(24).reshape(8, 3))) == ()


def test_completions_are_cut_at_their_end():
  prompt = np.array([list(b"ab\n")])
  tokens = np.array([[*b"cd", 0, *b"xx"]])
  rollout = Rollout(prompt, tokens, np.ones((1, 5)), np.zeros((1, 5)))
  assert completions_text(rollout, ByteTokenizer()) == "ab⏎ | cd"


def test_pictures():
  rewards = {"before": np.arange(5.0), "after": np.arange(5.0) + 1}
  for picture in (
    reward_histogram(rewards, label="reward"),
    learned_against_given(np.arange(5.0), np.arange(5.0)),
  ):
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
