"""A tiny language model and its task, and the state of its training."""

import jax
import pytest

from jgm.core import new_state
from jgm.data import make_dataset
from jgm.models.transformer import Decoder, Transformer
from jgm.policy.frozen import begin
from jgm.policy.task import make_task

VOCAB, NUM_TOKENS = 3, 3


def tiny_task(**decoding):
  """(task, model): 27 completions of nothing, each with a reward of its own."""
  data = make_dataset(
    "no_prompt", batch_size=8, seed=0, context=NUM_TOKENS + 1, vocab_size=VOCAB
  )
  decoder = Decoder(VOCAB, max_length=8, features=8, num_layers=1, num_heads=2)
  model = Transformer(decoder)
  rule = {"name": "table", "letters": "", "scale": 1.0, "seed": 0}
  options = {"num_tokens": NUM_TOKENS, **decoding}
  return make_task(data, model, rule=rule, learned=False, **options), model


@pytest.fixture(scope="session")
def tiny():
  """(**decoding) -> (task, model)."""
  return tiny_task


@pytest.fixture(scope="session")
def task():
  return tiny_task()[0]


@pytest.fixture(scope="session")
def state():
  """The policy is not the reference: it is another random network."""
  _, model = tiny_task()
  reference, frozen = begin(model, jax.random.key(0), {}, embedding_scale=20.0)
  del reference
  policy, _ = begin(model, jax.random.key(1), {}, embedding_scale=20.0)
  return new_state(jax.random.key(2), {"policy": policy}, (), extra=frozen)
