"""Rewards that can be checked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.data import make_dataset
from jgm.eval.enumeration import all_sequences
from jgm.models.transformer import Decoder, ScalarTransformer
from jgm.policy.reward import (
  completion_reward,
  letter_share,
  make_rewards,
  sequence_table,
  table_of,
)
from jgm.policy.rollout import Rollout

NUM_TOKENS, VOCAB = 3, 3  # of the task in conftest.py


def rollout_of(tokens, mask=None):
  tokens = jnp.asarray(tokens, jnp.int32)
  mask = jnp.ones(tokens.shape) if mask is None else jnp.asarray(mask, jnp.float32)
  return Rollout(jnp.zeros((len(tokens), 2), jnp.int32), tokens, mask, 0 * mask)


class Syllables:
  """Tokens of one letter or more."""

  vocab_size = 5
  texts = (b"", b"a", b"e", b"xa", b"zz")

  def decode_bytes(self, tokens):
    return b"".join(self.texts[token] for token in tokens)

  def num_bytes(self):
    return np.array([1, 1, 1, 2, 2], np.int32)


def test_a_share_is_of_bytes_whatever_the_tokens():
  reward = letter_share("ae", Syllables(), scale=1.0)
  said = rollout_of([[1, 3, 4], [3, 3, 3]])
  np.testing.assert_allclose(reward((), said), [2 / 5, 3 / 6], rtol=1e-6)


def test_a_share_counts_real_tokens_alone():
  reward = letter_share("ae", Syllables(), scale=10.0)
  rows = rollout_of(
    [[1, 2, 0], [1, 1, 1], [1, 1, 1]], [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
  )
  np.testing.assert_allclose(reward((), rows), [20 / 3, 10.0, 0.0], rtol=1e-6)


def test_letters_are_those_of_the_text():
  text = make_dataset("docs", batch_size=1, seed=0, context=8)
  decoder = Decoder(256, max_length=8, features=8, num_layers=1, num_heads=2)
  options = {"name": "letters", "letters": "ab", "scale": 1.0, "seed": 0}
  (name, reward), *others = make_rewards(text.spec, decoder, 4, **options).items()
  said = rollout_of([list(b"abba"), list(b"cab!")])
  np.testing.assert_allclose(reward((), said), [1.0, 0.5])
  assert name == "reward" and not others
  learned = make_rewards(text.spec, decoder, 4, learned=True, **options)
  assert list(learned) == ["learned_reward", "reward"]


def test_a_table_has_the_order_of_the_list():
  reward = sequence_table(VOCAB, NUM_TOKENS, scale=2.0, seed=3)
  rows = rollout_of(all_sequences(VOCAB, NUM_TOKENS))
  table = table_of(VOCAB, NUM_TOKENS, scale=2.0, seed=3)
  np.testing.assert_array_equal(reward((), rows), table)


def test_a_learned_reward_is_read_at_the_last_real_token():
  model = ScalarTransformer(
    Decoder(5, max_length=8, features=8, num_layers=1, num_heads=2)
  )
  params = model.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))["params"]
  params["scalar"]["kernel"] = (
    jnp.ones_like(params["scalar"]["kernel"]).at[::2].set(0.3)
  )
  rows = rollout_of([[1, 2, 3, 4]] * 2, [[1, 1, 1, 1], [1, 1, 0, 0]])
  found = completion_reward(model, params, rows)
  for row, length in enumerate((4, 2)):
    tokens = jnp.array([[0, 0, 1, 2, 3, 4][: 2 + length]])
    outputs = model.apply({"params": params}, tokens)
    np.testing.assert_allclose(found[row], outputs[0, -1], rtol=1e-5)
  assert abs(found[0] - found[1]) > 1e-3


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"name": "vowels"}, "letters, table"),
    ({"name": "letters", "letters": ""}, "names no letter"),
    ({"name": "letters", "letters": "aé"}, "one of ASCII"),
    ({"name": "table"}, "lists every completion"),
  ],
)
def test_what_is_no_rule(options, message):
  text = make_dataset("docs", batch_size=1, seed=0, context=8)
  decoder = Decoder(256, max_length=8, features=8, num_layers=1, num_heads=2)
  defaults = {"name": "letters", "letters": "a", "scale": 1.0, "seed": 0}
  with pytest.raises(ValueError, match=message):
    make_rewards(text.spec, decoder, 4, **{**defaults, **options})
