"""Decoding, against chains that can be enumerated and against no cache at all."""

import itertools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.models.positions import POSITIONS
from jgm.models.transformer import Decoder, Transformer
from jgm.samplers.decode import (
  Completion,
  cached_model,
  decode,
  left_padded,
  score,
)
from jgm.samplers.logits import chain, greedy, identity, temperature, top_k, top_p

VOCAB, NUM_TOKENS = 9, 5
PROMPTS = ([3, 1, 4, 1, 5], [8], [2, 7, 1])
SAMPLING = chain(temperature(0.9), top_k(6), top_p(0.95))


class NoCache(NamedTuple):
  """A chain's next token depends on the last alone: there is nothing to remember."""

  columns: jax.Array = jnp.zeros(100)

  @property
  def max_length(self):
    return len(self.columns)


def markov(table):
  """A model whose logits are a row of `table` [V, V]."""
  return lambda tokens, cache, padding: (table[tokens], cache)


def run(apply, cache, prompt, lengths, key, **options):
  """`decode`, compiled."""
  lengths = None if lengths is None else jnp.asarray(lengths)
  call = jax.jit(
    lambda cache, prompt, lengths, key: decode(
      apply, cache, prompt, key, prompt_length=lengths, **options
    )
  )
  return call(cache, jnp.asarray(prompt), lengths, key)


def transformer(**fields):
  """A small model with parameters all drawn: (apply with a cache, without, a cache)."""
  decoder = Decoder(
    vocab_size=VOCAB, max_length=12, features=16, num_layers=2, **fields
  )
  model = Transformer(decoder)
  shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 2), jnp.int32))
  rng = np.random.default_rng(2)
  draw = lambda a: jnp.asarray(0.3 * rng.normal(size=a.shape), a.dtype)
  variables = jax.tree.map(draw, shapes)
  cached = cached_model(model, variables["params"])
  plain = lambda tokens, padding: model.apply(variables, tokens, padding=padding)
  return cached, plain, decoder.empty_cache


def without_cache(plain, prompt, lengths, key, transform):
  """Token after token, all read anew for each; [B, N]."""
  apply = jax.jit(plain)
  tokens, padding = jnp.asarray(prompt), prompt.shape[1] - lengths
  room = jnp.zeros((len(prompt), NUM_TOKENS), jnp.int32)  # one shape, one compilation
  tokens = jnp.concatenate([tokens, room], axis=1)
  for i in range(NUM_TOKENS):
    column = prompt.shape[1] + i
    logits = transform(apply(tokens, padding)[:, column - 1])
    token = jax.random.categorical(jax.random.fold_in(key, i), logits)
    tokens = tokens.at[:, column].set(token)
  return tokens[:, prompt.shape[1] :]


@pytest.mark.parametrize(
  "fields",
  [{"positions": p} for p in POSITIONS] + [{"num_kv_heads": 2, "positions": "rotary"}],
  ids=lambda fields: "-".join(map(str, fields.values())),
)
def test_a_cache_gives_the_tokens_that_come_without(fields, key):
  cached, plain, empty = transformer(**fields)
  prompt, lengths = left_padded(PROMPTS)
  of = {"num_tokens": NUM_TOKENS, "transform": SAMPLING}
  completion = run(cached, empty(3), prompt, lengths, key, **of)
  wanted = without_cache(plain, prompt, lengths, key, SAMPLING)
  np.testing.assert_array_equal(completion.tokens, wanted)
  assert len(np.unique(completion.tokens)) > 3  # so the test can tell
  again = score(plain, prompt, completion, SAMPLING, prompt_length=lengths)
  np.testing.assert_allclose(again, completion.logp, atol=1e-5)


def test_a_row_of_a_ragged_batch_is_the_row_alone(key):
  """Greedy; and the first row sampled too, whose draws do not depend on the others."""
  cached, _, empty = transformer(positions="rotary")

  def tokens(prompts, transform):
    of = {"num_tokens": NUM_TOKENS, "transform": transform}
    return run(cached, empty(len(prompts)), *left_padded(prompts), key, **of).tokens

  together = tokens(PROMPTS, greedy)
  np.testing.assert_array_equal(together[2], tokens(PROMPTS[2:], greedy)[0])
  together = tokens(PROMPTS[1:], SAMPLING)
  np.testing.assert_array_equal(together[0], tokens(PROMPTS[1:2], SAMPLING)[0])


def test_prompts_that_fill_their_rows_need_no_lengths(key):
  cached, plain, empty = transformer(positions="learned")
  prompt = jnp.array([[3, 1, 4], [2, 7, 1]])
  of = {"num_tokens": NUM_TOKENS, "transform": SAMPLING}
  completion = run(cached, empty(2), prompt, None, key, **of)
  wanted = run(cached, empty(2), prompt, jnp.array([3, 3]), jax.random.clone(key), **of)
  np.testing.assert_array_equal(completion.tokens, wanted.tokens)
  np.testing.assert_allclose(completion.logp, wanted.logp, atol=1e-6)
  again = score(plain, prompt, completion, SAMPLING)
  np.testing.assert_allclose(again, completion.logp, atol=1e-5)
  padding = []
  decode(
    lambda tokens, cache, p: (padding.append(p), cached(tokens, cache, p))[1],
    *(empty(2), prompt, jax.random.clone(key)),
    **of,
  )
  assert padding == [None, None]  # the fast path: no mask is made


@pytest.mark.parametrize(
  "transform", [identity, temperature(0.6), top_k(2), top_p(0.7), SAMPLING]
)
def test_frequencies_are_the_renormalised_probabilities(transform, key):
  """Of all pairs of tokens, and of none that is excluded: 5 sigma."""
  n, vocab = 40_000, 4
  table = jnp.asarray(np.random.default_rng(0).normal(size=(vocab, vocab)), jnp.float32)
  prompt, lengths = jnp.ones((n, 1), jnp.int32), jnp.ones(n, jnp.int32)
  of = {"num_tokens": 2, "transform": transform}
  completion = run(markov(table), NoCache(), prompt, lengths, key, **of)
  step = np.asarray(jax.nn.softmax(transform(table), axis=-1), np.float64)
  for a, b in itertools.product(range(vocab), repeat=2):
    wanted = step[1, a] * step[a, b]
    hit = (completion.tokens[:, 0] == a) & (completion.tokens[:, 1] == b)
    sigma = np.sqrt(wanted * (1 - wanted) / n)
    assert abs(np.mean(hit) - wanted) <= 5 * sigma
    if hit.any():
      logp = np.sum(completion.logp[np.argmax(hit)])
      assert logp == pytest.approx(np.log(wanted), abs=1e-5)


def test_greedy_is_the_argmax(key):
  table = jnp.asarray(np.random.default_rng(3).normal(size=(VOCAB, VOCAB)), jnp.float32)
  prompt = jnp.arange(VOCAB)[:, None]
  ones = jnp.ones(VOCAB, jnp.int32)
  for transform in (greedy, temperature(0.0), chain(temperature(0.0)), top_k(1)):
    of = {"num_tokens": 4, "transform": transform}
    completion = run(markov(table), NoCache(), prompt, ones, key, **of)
    token = np.arange(VOCAB)
    for i in range(4):
      token = np.argmax(table[token], axis=-1)
      np.testing.assert_array_equal(completion.tokens[:, i], token)
    np.testing.assert_array_equal(completion.logp, np.zeros((VOCAB, 4)))
    assert completion.mask.all() and completion.tokens.dtype == jnp.int32


def test_the_end_token_ends_a_row(key):
  """Counting up from each prompt; 6 is the end, and 8 before 0."""
  table = 50.0 * jax.nn.one_hot((jnp.arange(VOCAB) + 1) % VOCAB, VOCAB)
  prompt = jnp.array([[5], [3], [0], [6]])
  of = {"num_tokens": 4, "transform": temperature(1.0), "end_token": 6}
  completion = run(markov(table), NoCache(), prompt, None, key, **of)
  wanted = [[6, 6, 6, 6], [4, 5, 6, 6], [1, 2, 3, 4], [7, 8, 0, 1]]
  np.testing.assert_array_equal(completion.tokens, wanted)
  mask = [[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
  np.testing.assert_array_equal(completion.mask, np.bool_(mask))
  np.testing.assert_array_equal(completion.logp[0, 1:], np.zeros(3))
  # scored alike: nothing counts after the end, excluded or not
  plain = lambda tokens, padding: table[tokens]
  for transform in (of["transform"], top_k(1)):
    again = score(plain, prompt, completion, transform)
    np.testing.assert_allclose(again, completion.logp, atol=1e-6)


def test_fewer_tokens_are_the_first_of_more(key):
  table = jnp.zeros((VOCAB, VOCAB))
  prompt, lengths = jnp.zeros((4, 1), jnp.int32), jnp.ones(4, jnp.int32)
  first = lambda n: run(
    markov(table), NoCache(), prompt, lengths, key, num_tokens=n, transform=identity
  )
  more = first(7)
  for n in (1, 3):
    chex.assert_trees_all_equal(first(n), jax.tree.map(lambda a, n=n: a[:, :n], more))


def test_an_excluded_token_scores_minus_infinity():
  plain = lambda tokens, padding: jnp.zeros((*tokens.shape, 3)).at[..., 0].set(5.0)
  ones = jnp.ones((1, 2), bool)
  completion = Completion(jnp.array([[0, 1]]), jnp.zeros((1, 2)), ones)
  prompt = jnp.zeros((1, 1), jnp.int32)
  logp = score(plain, prompt, completion, top_k(1))
  np.testing.assert_array_equal(logp, [[0.0, -np.inf]])


def test_the_model_is_traced_twice(key):
  """Once for the prompt, once for the scan's body; later calls not at all."""
  table, shapes = jnp.zeros((VOCAB, VOCAB)), []

  def apply(tokens, cache, padding):
    shapes.append(tokens.shape)
    return table[tokens], cache

  compiled = jax.jit(
    lambda prompt, lengths, key: decode(
      apply,
      NoCache(),
      prompt,
      key,
      num_tokens=6,
      transform=identity,
      prompt_length=lengths,
    )
  )
  for seed in range(2):
    prompt, lengths = map(jnp.asarray, left_padded(PROMPTS[seed : seed + 1] * 2))
    prompt = jnp.pad(prompt, ((0, 0), (5 - prompt.shape[1], 0)))
    compiled(prompt, lengths, jax.random.fold_in(key, seed))
  assert shapes == [(2, 5), (2, 1)]


@pytest.mark.parametrize("columns", [13, 9])
def test_too_long_is_refused_before_anything_runs(columns, key):
  """A prompt beyond the context, and one that leaves too little of it."""

  def apply(tokens, cache, padding):
    raise AssertionError("the model was called")

  prompt = jnp.zeros((1, columns), jnp.int32)
  of = {"num_tokens": 5, "transform": identity}
  with pytest.raises(ValueError, match=f"a prompt of {columns} tokens and 5 more"):
    decode(apply, NoCache(jnp.zeros(12)), prompt, key, **of)
  with pytest.raises(AssertionError, match="was called"):  # the last is not read
    decode(apply, NoCache(jnp.zeros(columns + 4)), prompt, key, **of)
  with pytest.raises(ValueError, match="at least one token, not 0"):
    of["num_tokens"] = 0
    decode(apply, NoCache(jnp.zeros(12)), prompt, key, **of)


def test_prompts_of_any_length_stand_on_the_right():
  prompt, lengths = left_padded(PROMPTS, fill=6)
  np.testing.assert_array_equal(
    prompt, [[3, 1, 4, 1, 5], [6, 6, 6, 6, 8], [6, 6, 2, 7, 1]]
  )
  np.testing.assert_array_equal(lengths, [5, 1, 3])
  assert prompt.dtype == lengths.dtype == np.int32
  with pytest.raises(ValueError, match="prompt 1 is empty"):
    left_padded([[1], []])
