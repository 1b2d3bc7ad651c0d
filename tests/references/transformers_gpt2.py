"""Writes the logits of transformers' GPT-2 with random weights, and the weights.

In an environment of its own, once; the tests read only the arrays:

    pip install --no-deps -r benchmarks/requirements-transformers.txt
    python tests/references/transformers_gpt2.py

Beside it: LLaMA's rotary positions of random queries and keys, Bloom's ALiBi slopes
for powers of two, and the logits after its samplers' transformations.
"""

import hashlib
import json
import pathlib
import platform

import numpy as np
import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig
from transformers.generation import logits_process as processors
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.llama import modeling_llama as llama

OUTPUT = pathlib.Path(__file__).with_suffix(".npz")
B, T = 3, 20
CONFIG = {
  "vocab_size": 64,
  "n_positions": 32,
  "n_embd": 32,
  "n_layer": 2,
  "n_head": 4,
  "bos_token_id": None,
  "eos_token_id": None,
}
SCALE = 0.2  # of the weights: ten times GPT-2's, so that no part is negligible
WARPERS = {
  "temperature": processors.TemperatureLogitsWarper(0.7),
  "top_k": processors.TopKLogitsWarper(5),
  "top_p": processors.TopPLogitsWarper(0.8),
  "min_p": processors.MinPLogitsWarper(0.1),
}


def gpt2():
  """Tokens, logits, the greedy continuation, and the state: {name: array}."""
  model = GPT2LMHeadModel(GPT2Config(**CONFIG)).eval()
  for name, weight in model.named_parameters():
    noise = SCALE * torch.randn_like(weight)
    scale_of_norm = ".ln_" in name and name.endswith("weight")
    weight.data = noise + 1 if scale_of_norm or "ln_f.weight" in name else noise
  tokens = torch.randint(0, CONFIG["vocab_size"], (B, T))
  greedy = model.generate(
    tokens[:, :6],
    attention_mask=torch.ones(B, 6, dtype=torch.long),
    max_new_tokens=12,
    do_sample=False,
    pad_token_id=0,
  )
  state = {f"state/{name}": a.numpy() for name, a in model.state_dict().items()}
  logits = model(tokens).logits.numpy()
  return {"tokens": tokens.numpy(), "logits": logits, "greedy": greedy.numpy(), **state}


def rotary():
  """Queries and keys [B, T, N, Dh] before and after rotation."""
  config = LlamaConfig(hidden_size=32, num_attention_heads=4)
  positions = torch.arange(T)[None] + torch.tensor([[0], [3], [11]])
  query, key = torch.randn(2, B, 4, T, 8)
  cos, sin = llama.LlamaRotaryEmbedding(config)(query, positions)
  turned = llama.apply_rotary_pos_emb(query, key, cos, sin)
  swap = lambda a: a.transpose(1, 2).numpy()
  arrays = {"query": query, "key": key, "rotated_query": turned[0]}
  arrays = {name: swap(a) for name, a in (arrays | {"rotated_key": turned[1]}).items()}
  return {"positions": positions.numpy(), **arrays}


def alibi():
  """Slopes of 4, 8 and 16 heads, from the bias of a distance of one."""
  ones = torch.ones(1, 2)
  bias = lambda n: build_alibi_tensor(ones, n, torch.float32).reshape(n, 2)
  return {str(n): (bias(n)[:, 1] - bias(n)[:, 0]).numpy() for n in (4, 8, 16)}


def warped():
  """Logits [B, V], and those after each transformation."""
  logits = 2 * torch.randn(B, 50)
  outputs = {name: warper(None, logits).numpy() for name, warper in WARPERS.items()}
  return {"logits": logits.numpy(), **outputs}


def main() -> None:
  """Writes the arrays, and beside them the versions and the hash."""
  torch.manual_seed(0)
  with torch.no_grad():
    parts = {"gpt2": gpt2(), "rotary": rotary(), "alibi": alibi(), "warped": warped()}
  arrays = {f"{part}/{name}": a for part, v in parts.items() for name, a in v.items()}
  np.savez(OUTPUT, **arrays)
  about = {
    "transformers": transformers.__version__,
    "torch": torch.__version__,
    "numpy": np.__version__,
    "python": platform.python_version(),
    "sha256": hashlib.sha256(OUTPUT.read_bytes()).hexdigest(),
  }
  OUTPUT.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
  main()
