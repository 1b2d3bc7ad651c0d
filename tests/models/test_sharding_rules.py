"""Networks that are cut over `model` send activations once for each pair of layers."""

import importlib

import pytest

from jgm.cli.config import load_config
from jgm.core import make_program
from jgm.plan.count import count_work


def collectives(name, *overrides):
  """{kind: bytes} of a step of the smoke preset, on one row of two devices."""
  config = load_config(f"configs/{name}.py:smoke", overrides)
  experiment = importlib.import_module(f"experiments.{name}").make(config)
  program = make_program(experiment, data_devices=1, model_devices=2)
  lowered = program.lower(experiment.data.arrays(0, 1, None))
  found = count_work(lowered.compile().as_text()).work.collectives
  return {kind.kind: num_bytes for kind, num_bytes in found.items()}


@pytest.mark.parametrize("kv_heads", [None, 2])
def test_a_transformer_sums_twice_a_block_each_way(kv_heads):
  """Shoeybi et al., figure 4; and once for the embedding, forth and back."""
  overrides = ["model.num_layers=2", "model.num_heads=4", "data.batch_size=8"]
  if kv_heads:
    overrides.append(f"model.num_kv_heads={kv_heads}")
  found = collectives("gpt", *overrides)
  tokens, features, layers = 8 * 16, 16, 2
  activations = 4 * tokens * features
  assert set(found) == {"all-reduce"}
  # and, of the softmax over the vocabulary, some numbers for each token
  assert 0 <= found["all-reduce"] - (4 * layers + 2) * activations < activations


def test_a_head_of_keys_is_not_cut():
  with pytest.raises(ValueError, match="of 1 pieces, of params/decoder/blocks_0"):
    collectives("gpt", "model.num_heads=4", "model.num_kv_heads=1")


def test_an_unembedding_is_cut_too():
  found = collectives("gpt", "tie_embeddings=False", "data.batch_size=8")
  assert set(found) == {"all-reduce"}


def test_a_unet_sends_activations_and_nothing_else():
  found = collectives("ddpm", "optimizer.flatten=False")
  assert set(found) == {"all-reduce"}
