"""Texts written by a model: how long they are, and where they begin."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.data.tokenizers import ByteTokenizer
from jgm.models.transformer import Decoder, Transformer
from jgm.samplers.writing import make_writer

LENGTH = 8


@pytest.fixture(scope="module")
def writer():
  decoder = Decoder(256, max_length=LENGTH, features=8, num_layers=1, num_heads=2)
  model = Transformer(decoder)
  params = model.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))["params"]
  params = jax.tree.map(lambda x: 20 * x, params)  # far from uniform
  write = make_writer(model, ByteTokenizer(), LENGTH, chunk_size=4)
  return write, model, types.SimpleNamespace(ema_params=params)


def test_greedy_text_is_the_likeliest_token_each_time(writer):
  write, model, state = writer
  found = write(state, jax.random.key(1), 2, prompt="abc", temperature=0.0)
  assert found.shape == (2, LENGTH + 1 - 3)
  tokens = list(b"abc")
  for expected in np.asarray(found[0]):
    logits = model.apply({"params": state.ema_params}, jnp.array([tokens]))
    assert np.argmax(logits[0, -1]) == expected
    tokens.append(int(expected))
    if expected == 0:
      break
  np.testing.assert_array_equal(found[0], found[1])


def test_without_a_prompt_a_text_begins_after_an_end(writer):
  write, model, state = writer
  found = write(state, jax.random.key(1), 5, temperature=0.0)
  assert found.shape == (5, LENGTH)
  logits = model.apply({"params": state.ema_params}, jnp.zeros((1, 1), jnp.int32))
  assert np.argmax(logits[0, -1]) == found[0, 0]


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"prompt": "much too long"}, "beyond the context of 8"),
    ({"top_k": 0}, "at least one"),
    ({"temperature": -1.0}, ">= 0"),
  ],
)
def test_what_cannot_be_written(writer, options, message):
  write, _, state = writer
  with pytest.raises(ValueError, match=message):
    write(state, jax.random.key(1), 1, **options)
