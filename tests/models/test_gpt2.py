"""GPT-2's weights: the logits of transformers, and errors that name the tensor.

The arrays are remade by tests/references/transformers_gpt2.py.
"""

import hashlib
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from jgm.models.gpt2 import gpt2_options, gpt2_params
from jgm.models.transformer import Decoder, Transformer
from jgm.samplers.decode import decode
from jgm.samplers.logits import greedy

REFERENCE = pathlib.Path(__file__).parents[1] / "references" / "transformers_gpt2.npz"
STATE = "gpt2/state/"


@pytest.fixture(scope="module")
def arrays():
  about = json.loads(REFERENCE.with_suffix(".json").read_text())
  assert hashlib.sha256(REFERENCE.read_bytes()).hexdigest() == about["sha256"]
  with np.load(REFERENCE) as file:
    return dict(file)


@pytest.fixture
def state(arrays):
  return {k.removeprefix(STATE): a for k, a in arrays.items() if k.startswith(STATE)}


def model_of(state):
  return Transformer(Decoder(**gpt2_options(state, num_heads=4)))


def test_options_are_read_from_the_shapes(state):
  assert gpt2_options(state, num_heads=4) == {
    "vocab_size": 64,
    "max_length": 32,
    "features": 32,
    "num_layers": 2,
    "num_heads": 4,
    "mlp_features": 128,
    "positions": "learned",
  }
  with pytest.raises(ValueError, match="give num_heads"):
    gpt2_options(state)
  with pytest.raises(ValueError, match="5 heads do not divide 32"):
    gpt2_options(state, num_heads=5)
  wide = {"wte.weight": (50257, 768), "wpe.weight": (1024, 768)}
  wide |= {f"h.{i}.mlp.c_fc.weight": (768, 3072) for i in range(12)}
  options = gpt2_options({k: np.broadcast_to(0.0, shape) for k, shape in wide.items()})
  assert options["num_heads"] == 12 and options["num_layers"] == 12


def test_logits_are_those_of_transformers(arrays, state):
  model, params = model_of(state), gpt2_params(state, num_heads=4)
  tokens = jnp.asarray(arrays["gpt2/tokens"], jnp.int32)
  wanted = jax.eval_shape(model.init, jax.random.key(0), tokens)["params"]
  same = lambda a, b: a.shape == b.shape and a.dtype == b.dtype
  assert all(jax.tree.leaves(jax.tree.map(same, params, wanted)))
  logits = jax.jit(model.apply)({"params": params}, tokens)
  error = np.abs(logits - arrays["gpt2/logits"]).max()
  print(f"\nlogits up to {np.abs(logits).max():.2f} are {error:.1e} off")
  assert error < 1e-5


def test_greedy_tokens_are_those_of_generate(arrays, state):
  model, params = model_of(state), {"params": gpt2_params(state, num_heads=4)}
  wanted = jnp.asarray(arrays["gpt2/greedy"], jnp.int32)
  apply = lambda tokens, cache, padding: model.apply(
    params, tokens, cache=cache, padding=padding
  )
  completion = decode(
    apply,
    model.decoder.empty_cache(len(wanted)),
    wanted[:, :6],
    jax.random.key(0),
    num_tokens=12,
    transform=greedy,
  )
  np.testing.assert_array_equal(completion.tokens, wanted[:, 6:])


def test_a_file_is_read_as_a_mapping_is(tmp_path, state):
  """With the names of a GPT2Model, and the masks that older files hold."""
  tensors = {k.removeprefix("transformer."): a for k, a in state.items()}
  del tensors["lm_head.weight"]
  tensors["h.0.attn.bias"] = np.tri(32, dtype=np.float32)[None, None]
  tensors["h.0.attn.masked_bias"] = np.float32(-1e4)
  save_file({k: np.ascontiguousarray(a) for k, a in tensors.items()}, tmp_path / "a")
  assert gpt2_options(tmp_path / "a", num_heads=4) == gpt2_options(state, num_heads=4)
  equal = lambda a, b: np.testing.assert_array_equal(a, b)
  jax.tree.map(
    equal, gpt2_params(tmp_path / "a", num_heads=4), gpt2_params(state, num_heads=4)
  )
  halves = {k: a.astype(np.float16) for k, a in tensors.items()}
  assert {a.dtype for a in jax.tree.leaves(gpt2_params(halves, num_heads=4))} == {
    np.dtype("f4")
  }


def test_tensors_that_are_wrong_are_named(state):
  def changed(**changes):
    tensors = {k.removeprefix("transformer."): a for k, a in state.items()}
    for name, a in changes.items():
      name = name.replace("__", ".")
      tensors.pop(name, None) if a is None else tensors.update({name: a})
    return tensors

  for changes, message in (
    ({"wte__weight": None}, "'wte.weight' is missing"),
    ({"h__1__attn__c_attn__bias": None}, r"'h.1.attn.c_attn.bias' is missing.*\(96,\)"),
    ({"h__3__ln_1__bias": np.zeros(32)}, "'h.2.ln_1.weight' is missing"),
    (
      {"h__0__attn__c_attn__weight": np.zeros((96, 32))},
      r"'h.0.attn.c_attn.weight' has shape \(96, 32\), wanted \(32, 96\)",
    ),
    ({"wpe__weight": np.zeros((32, 8))}, r"'wpe.weight' has shape \(32, 8\), wanted"),
    ({"wpe__weight": np.zeros(32)}, r"'wpe.weight' has shape \(32,\), wanted a matrix"),
    ({"lm_head__weight": np.zeros((64, 32))}, "'lm_head.weight' is not 'wte.weight'"),
    ({"h__0__lora": np.zeros(3)}, "'h.0.lora' is none of a GPT-2's"),
  ):
    with pytest.raises(ValueError, match=message):
      gpt2_params(changed(**changes), num_heads=4)
