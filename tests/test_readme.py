"""What the README tells a newcomer to write works as it stands there."""

import pathlib
import re
import types

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from experiments.__main__ import names
from jgm.models.transformer import Decoder, Transformer

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def snippet_with(words):
  snippets = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
  (snippet,) = (each for each in snippets if words in each)
  return snippet


def test_the_loss_of_the_readme_is_a_loss():
  snippet = snippet_with("def huber")
  regression = types.ModuleType("regression")
  source = (ROOT / "jgm/losses/regression.py").read_text()
  exec(source + snippet, vars(regression))
  output, target = jnp.array([[0.5, 3.0], [0.0, 0.0]]), jnp.zeros((2, 2))
  wanted = [(0.5 * 0.5**2 + 3.0 - 0.5) / 2, 0.0]
  np.testing.assert_allclose(regression.huber(output, target), wanted, rtol=1e-6)


def test_the_transport_of_the_readme_converges():
  x, y = np.eye(5, 2, dtype=np.float32), np.ones((4, 2), np.float32)
  names = {"x": x, "y": y, "a": np.full(5, 0.2), "b": np.full(4, 0.25)}
  exec(snippet_with("from jgm import ot"), names)
  assert names["solved"].converged


def test_the_gpt2_of_the_readme_runs(tmp_path):
  config = Decoder(64, max_length=8, features=64, num_layers=1, num_heads=1)
  tokens = jnp.zeros((1, 4), jnp.int32)
  params = Transformer(config).init(jax.random.key(0), tokens)["params"]
  save_file(hugging_face_names(params["decoder"]), tmp_path / "model.safetensors")
  names = {"tokens": tokens}
  snippet = snippet_with("gpt2_params").replace(
    '"model.safetensors"', repr(str(tmp_path / "model.safetensors"))
  )
  exec(snippet, names)
  wanted = Transformer(config).apply({"params": params}, tokens)
  np.testing.assert_allclose(names["logits"], wanted, rtol=1e-5, atol=1e-6)


def hugging_face_names(decoder):
  """A decoder of one block, as transformers' GPT-2 names its tensors."""
  parts = {
    "ln_1": ("attention_norm", "scale"),
    "attn.c_attn": ("attention.qkv", "kernel"),
    "attn.c_proj": ("attention.out", "kernel"),
    "ln_2": ("mlp_norm", "scale"),
    "mlp.c_fc": ("mlp_in", "kernel"),
    "mlp.c_proj": ("mlp_out", "kernel"),
  }
  tensors = {
    "wte.weight": decoder["embed"]["embedding"],
    "wpe.weight": decoder["positions"],
    "ln_f.weight": decoder["last_norm"]["scale"],
    "ln_f.bias": decoder["last_norm"]["bias"],
  }
  for theirs, (ours, weight) in parts.items():
    part = decoder["blocks_0"]
    for name in ours.split("."):
      part = part[name]
    tensors[f"h.0.{theirs}.weight"] = part[weight]
    tensors[f"h.0.{theirs}.bias"] = part["bias"]
  return {name: np.array(leaf) for name, leaf in tensors.items()}


def test_each_experiment_has_a_row_and_each_file_is_there():
  targets = re.findall(r"\]\(((?!http)[^)#]+)", README)
  assert not [target for target in targets if not (ROOT / target).exists()]
  rows = re.findall(r"^\| \[`(\w+)`\]\(experiments/\1\.py\)", README, re.MULTILINE)
  assert sorted([*rows, "compare"]) == sorted(names())


def test_its_pictures_are_small():
  pictures = [*(ROOT / "docs").glob("*.png"), *(ROOT / "docs").glob("*.jpg")]
  assert pictures and all(path.stat().st_size < 200_000 for path in pictures)
