"""What both sides of a GPT benchmark begin with: one state of GPT-2, one batch.

Only NumPy, which the peer's environment has too.
"""

from collections.abc import Mapping

import numpy as np

SCALE = 0.02  # of the weights


def gpt2_state(sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
  """Random weights of a GPT-2, named as its files name them.

  Args:
    sizes: vocab_size, context, features, num_layers.

  Returns:
    {name: float32 array}. Scales of layer norms are 1 and biases 0, but for noise.
  """
  random = np.random.default_rng(0)
  d, state = sizes["features"], {}
  shapes: dict[str, tuple[int, ...]] = {
    "wte.weight": (sizes["vocab_size"], d),
    "wpe.weight": (sizes["context"], d),
  }
  for i in range(sizes["num_layers"]):
    shapes |= {f"h.{i}.{name}": (d,) for name in ("ln_1.weight", "ln_1.bias")}
    shapes |= {f"h.{i}.{name}": (d,) for name in ("ln_2.weight", "ln_2.bias")}
    for name, rows, columns in (
      ("attn.c_attn", d, 3 * d),
      ("attn.c_proj", d, d),
      ("mlp.c_fc", d, 4 * d),
      ("mlp.c_proj", 4 * d, d),
    ):
      shapes[f"h.{i}.{name}.weight"] = (rows, columns)
      shapes[f"h.{i}.{name}.bias"] = (columns,)
  shapes |= {"ln_f.weight": (d,), "ln_f.bias": (d,)}
  for name, shape in shapes.items():
    scale = "ln_" in name and name.endswith(".weight")
    state[name] = np.float32(scale + SCALE * random.standard_normal(shape))
  return state


def random_tokens(sizes: Mapping[str, int]) -> np.ndarray:
  """A batch of tokens, int64 [B, T + 1]."""
  shape = sizes["batch_size"], sizes["context"] + 1
  return np.random.default_rng(1).integers(sizes["vocab_size"], size=shape)
