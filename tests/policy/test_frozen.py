"""A policy begins as its reference."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import reinforce
from jgm.cli.config import load_config
from jgm.cli.errors import UserError
from jgm.cli.opening import load_pretrained
from jgm.data import make_dataset
from jgm.models.transformer import Decoder, Transformer
from jgm.policy.frozen import begin, pretrained_of
from jgm.policy.task import make_task

NUM_TOKENS, VOCAB = 3, 3  # of the task in conftest.py


def test_the_policy_begins_as_what_was_given(tiny):
  _, model = tiny()
  given = model.init(jax.random.key(7), jnp.zeros((1, 1), jnp.int32))["params"]
  params, frozen = begin(model, jax.random.key(0), {"reference": given})
  chex.assert_trees_all_equal(params, given)
  chex.assert_trees_all_equal(frozen.reference, given)
  assert frozen.reward_model == ()


def test_a_random_reference_has_its_embedding_scaled(tiny):
  _, model = tiny()
  small, _ = begin(model, jax.random.key(0), {})
  large, _ = begin(model, jax.random.key(0), {}, embedding_scale=3.0)
  embedding = lambda params: params["decoder"]["embed"]["embedding"]
  np.testing.assert_allclose(embedding(large), 3 * embedding(small), rtol=1e-6)


def test_a_network_of_another_size_is_named(tiny):
  _, model = tiny()
  other = Transformer(
    Decoder(VOCAB, max_length=8, features=16, num_layers=1, num_heads=2)
  )
  given = other.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))["params"]
  with pytest.raises(ValueError, match=r"decoder/\S+ has shape"):
    begin(model, jax.random.key(0), {"reference": given})


def test_what_is_needed_of_other_runs():
  none, gpt = {"config": None, "workdir": None}, {"config": "c.py", "workdir": "w"}
  assert pretrained_of(none, none, agrees=()) == {}
  reward_model = {"config": "r.py", "workdir": None}
  needs = pretrained_of(gpt, reward_model, agrees=(("x", 1),))
  assert needs["reference"] == ("gpt", "c.py", "ema_params", "w", (("x", 1),))
  assert needs["reward_model"][:3] == ("reward_model", "r.py", "ema_params")


def test_a_window_must_hold_a_prompt(tiny):
  data = make_dataset("no_prompt", batch_size=1, seed=0, context=NUM_TOKENS)
  _, model = tiny()
  rule = {"name": "table", "letters": "", "scale": 1.0, "seed": 0}
  with pytest.raises(ValueError, match="must be more than"):
    make_task(data, model, rule=rule, learned=False, num_tokens=NUM_TOKENS)


def test_what_no_shape_tells_must_agree(tmp_path):
  config = load_config("configs/reinforce.py:smoke", ["model.num_heads=4"])
  config.reference.workdir = str(tmp_path)
  with pytest.raises(UserError, match=r"config.model.num_heads=2, and here it is 4"):
    load_pretrained(reinforce.make(config).pretrained)
