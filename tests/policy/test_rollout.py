"""What a policy says has the probability that it is scored by."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.eval.enumeration import all_sequences
from jgm.losses.masked import masked_sum
from jgm.policy.rollout import Rollout, make_policy, prompts_of, token_logp

NUM_TOKENS, VOCAB = 3, 3  # of the task in conftest.py

N = 4000


def listed():
  sequences = jnp.asarray(all_sequences(VOCAB, NUM_TOKENS))
  ones = jnp.ones(sequences.shape)
  return Rollout(jnp.zeros((len(sequences), 1), jnp.int32), sequences, ones, ones)


@pytest.mark.parametrize("decoding", [{}, {"temperature": 0.5}])
def test_what_is_drawn_has_the_probability_it_is_scored_by(tiny, state, decoding):
  task, _ = tiny(**decoding)
  params = state.params["policy"]
  prompt = jnp.zeros((N, 1), jnp.int32)
  drawn = jax.jit(task.policy.act)(params, prompt, jax.random.key(3))
  scored = token_logp(task.policy.logits(params, drawn), drawn)
  np.testing.assert_allclose(drawn.logp, scored, atol=1e-5)
  every = listed()
  logp = masked_sum(token_logp(task.policy.logits(params, every), every), every.mask)
  p = np.exp(logp)
  np.testing.assert_allclose(p.sum(), 1.0, rtol=1e-5)
  numbers = np.asarray(drawn.tokens) @ VOCAB ** np.arange(NUM_TOKENS)[::-1]
  share = np.bincount(numbers, minlength=len(p)) / N
  np.testing.assert_array_less(abs(share - p), 4.5 * np.sqrt(p * (1 - p) / N) + 1e-9)


def test_a_rollout_ends_with_its_end_token(tiny, state):
  _, model = tiny()
  policy = make_policy(model, 1, num_tokens=NUM_TOKENS)
  prompt = jnp.zeros((200, 1), jnp.int32)
  drawn = policy.act(state.params["policy"], prompt, jax.random.key(4))
  tokens, mask = np.asarray(drawn.tokens), np.asarray(drawn.mask)
  ends = 0
  for row, real in zip(tokens, mask, strict=True):
    first = np.flatnonzero(row == 1)
    length = first[0] + 1 if len(first) else NUM_TOKENS
    ends += bool(len(first))
    np.testing.assert_array_equal(real, np.arange(NUM_TOKENS) < length)
  assert 0 < ends < len(tokens)
  np.testing.assert_array_equal(np.asarray(drawn.logp)[mask == 0], 0.0)


def test_prompts_are_what_is_before_the_completion():
  windows = jnp.arange(12).reshape(2, 6)  # T = 5
  prompts = prompts_of(windows, 3, copies=2)
  np.testing.assert_array_equal(prompts, [[0, 1], [0, 1], [6, 7], [6, 7]])
