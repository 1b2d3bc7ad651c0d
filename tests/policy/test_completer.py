"""`sample` of a policy: whose completions, behind which prompts, how much of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.policy.completer import (
  held_out_windows,
  make_complete,
  sample_of_params,
  sample_of_state,
)
from jgm.policy.rollout import Policy, Rollout

# T = 4 and N = 3, so a prompt is one token; a window may begin with the end token, 2
NUM_TOKENS, END = 3, 2


def act(params, prompt, key):
  """Says its parameter, whatever the prompt."""
  tokens = jnp.full((len(prompt), NUM_TOKENS), params, jnp.int32)
  return Rollout(prompt, tokens, jnp.ones(tokens.shape), jnp.zeros(tokens.shape))


def task_of(task, windows, num_tokens=NUM_TOKENS):
  """`task` with such held-out windows, a policy that is known, and an end token."""
  tokenizer = task.data.spec.tokenizer
  ending = type("Ending", (type(tokenizer),), {"end_token": END})(tokenizer.vocab_size)
  split = lambda which: {"test": {"tokens": np.asarray(windows, np.int32)}}[which]
  spec = task.data.spec._replace(tokenizer=ending, shape=(np.shape(windows)[1] - 1,))
  data = task.data._replace(spec=spec, split=split)
  policy = Policy(act, task.policy.logits)
  return task._replace(data=data, policy=policy, num_tokens=num_tokens)


def test_a_state_s_sample_is_by_the_average_or_by_the_reference(task, state, key):
  told = task_of(task, [[1, 0, 0, 0, 0]])
  state = state.replace(
    params={"policy": jnp.int32(7)},
    ema_params={"policy": jnp.int32(5)},
    extra=state.extra._replace(reference=jnp.int32(6)),
  )
  sample = sample_of_state(told, chunk_size=2)
  # all T tokens behind a held-out prompt, the N of a completion behind one's own
  np.testing.assert_array_equal(sample(state, key, 3), [[1, 5, 5, 5]] * 3)
  given = sample(state, jax.random.clone(key), 3, prompt="abc")
  np.testing.assert_array_equal(given, [[5, 5, 5]] * 3)
  reference = sample(state, jax.random.clone(key), 1, reference=True)
  np.testing.assert_array_equal(reference, [[1, 6, 6, 6]])


def test_a_prompt_that_does_not_fit_is_refused(task, key):
  """The context is 8 tokens, of which the last that is written is not read."""
  sample = sample_of_params(task_of(task, [[0] * 5]), chunk_size=2)
  assert sample(jnp.int32(1), key, 1, "a" * 6).shape == (1, NUM_TOKENS)
  with pytest.raises(ValueError, match="a prompt of 7 tokens"):
    sample(jnp.int32(1), jax.random.clone(key), 1, "a" * 7)
  with pytest.raises(ValueError, match="outside the vocabulary"):
    sample(jnp.int32(1), jax.random.clone(key), 1, "z")


def test_the_prompt_is_read(task, state, key):
  """By the network itself: other letters, other words."""
  sample = sample_of_params(task, chunk_size=300)
  params, shares = state.params["policy"], []
  for prompt in ("aaa", "cbc"):
    drawn = np.asarray(sample(params, jax.random.clone(key), 300, prompt))
    shares.append(np.bincount(drawn[:, 0], minlength=3) / 300)
  assert np.abs(shares[0] - shares[1]).max() > 0.1


def test_chunks_are_all_of_the_prompts_in_order(task, key):
  complete = make_complete(task_of(task, [[0] * 5]), chunk_size=2)
  prompts = jnp.arange(5)[:, None]
  found = complete(jnp.int32(1), prompts, key)
  np.testing.assert_array_equal(found.prompt, prompts)
  np.testing.assert_array_equal(found.tokens, np.ones((5, NUM_TOKENS)))


def test_held_out_prompts_have_no_end_inside_of_them(task, key):
  """Prompts of 2 of 5 tokens: an end before one, or behind it, is no matter."""
  windows = np.array(
    [
      [1, 0, 1, 1, 1, 1],
      [END, 0, 1, 1, 1, 1],  # begins with one
      [0, END, 1, 1, 1, 1],  # has one inside
      [0, 0, END, 1, 1, 1],  # in what is written over
    ]
  )
  drawn = np.asarray(held_out_windows(task_of(task, windows), key, 200))
  assert {tuple(row) for row in drawn} == {tuple(windows[i]) for i in (0, 1, 3)}
  # where all have one they are drawn all the same
  only = task_of(task, windows[2:3])
  drawn = held_out_windows(only, jax.random.clone(key), 2)
  np.testing.assert_array_equal(drawn, windows[[2, 2]])
