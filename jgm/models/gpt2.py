"""GPT-2's weights, from files in the Hugging Face layout, as parameters of ours."""

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from einops import rearrange
from numpy.typing import ArrayLike

Weights = Mapping[str, ArrayLike] | str | os.PathLike
Shapes = dict[str, tuple[int, ...]]
HEAD_FEATURES = 64  # of all published sizes
# Names may begin so, and these are no weights: the causal mask as older files have it.
_PREFIX = "transformer."
_NO_WEIGHTS = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")
# The file's name of a part -> ours, of a block and of the whole. Matrices are [in, out]
# in both; that of queries, keys and values is in this order there, and by heads here.
_BLOCK = {
  "ln_1": "attention_norm",
  "attn.c_attn": "attention.qkv",
  "attn.c_proj": "attention.out",
  "ln_2": "mlp_norm",
  "mlp.c_fc": "mlp_in",
  "mlp.c_proj": "mlp_out",
}


def gpt2_options(weights: Weights, *, num_heads: int | None = None) -> dict[str, Any]:
  """What to make a `Decoder` with, for these weights.

  Args:
    weights: a file of safetensors, or {name: array} of a `GPT2LMHeadModel`'s or a
      `GPT2Model`'s state.
    num_heads: which no shape tells; None: features / 64, as all published sizes have.

  Returns:
    Keywords of `Decoder`; the `Transformer` has its embeddings tied.

  Raises:
    ValueError: for a missing or misshapen tensor, by name; or where the number of heads
      has to be given, or does not divide the features.
  """
  shapes = {name: np.shape(a) for name, a in _read(weights).items()}
  vocab_size, features = _matrix(shapes, "wte.weight")
  if num_heads is None and features % HEAD_FEATURES:
    raise ValueError(f"give num_heads: {features} features are no heads of 64 each")
  num_heads = features // HEAD_FEATURES if num_heads is None else num_heads
  if features % num_heads:
    raise ValueError(f"{num_heads} heads do not divide {features} features")
  layers = [int(m[1]) for m in (re.match(r"h\.(\d+)\.", name) for name in shapes) if m]
  return {
    "vocab_size": vocab_size,
    "max_length": _matrix(shapes, "wpe.weight")[0],
    "features": features,
    "num_layers": max(layers, default=0) + 1,
    "num_heads": num_heads,
    "mlp_features": _matrix(shapes, "h.0.mlp.c_fc.weight")[1],
    "positions": "learned",
  }


def gpt2_params(weights: Weights, *, num_heads: int | None = None) -> dict[str, Any]:
  """GPT-2's weights as the parameters of a `Transformer` of `gpt2_options`.

  Args:
    weights: a file of safetensors, or {name: array} of a `GPT2LMHeadModel`'s or a
      `GPT2Model`'s state.
    num_heads: as in `gpt2_options`.

  Returns:
    {"decoder": ...}, float32 arrays on the host: what `Transformer.apply` takes as
    {"params": ...}. Property: the logits are those of transformers' GPT-2.

  Raises:
    ValueError: for a tensor that is missing, misshapen or not of GPT-2, or a last layer
      that is not the embedding; it names the tensor, its shape and the one wanted. Or
      as `gpt2_options` does.

  Reference: Radford et al. 2019, "Language models are unsupervised multitask learners".
  """
  tensors = dict(_read(weights))
  options = gpt2_options(tensors, num_heads=num_heads)
  wanted, places = _layout(options)
  _check(tensors, wanted)
  params: dict[str, Any] = {}
  for name, place in places.items():
    *parents, leaf = place.split(".")
    node = params
    for parent in parents:
      node = node.setdefault(parent, {})
    tensor = np.asarray(tensors[name]).astype(np.float32)
    by_heads = ".qkv." in place
    node[leaf] = _by_heads(tensor, options["num_heads"]) if by_heads else tensor
  return {"decoder": params}


def _by_heads(tensor: np.ndarray, num_heads: int) -> np.ndarray:
  """Columns of all queries, all keys, all values -> those of each head in turn."""
  return rearrange(tensor, "... (three n d) -> ... (n three d)", three=3, n=num_heads)


def _layout(options: Mapping[str, Any]) -> tuple[Shapes, dict[str, str]]:
  """{name in the file: shape}, {name in the file: path in our parameters}."""
  d, hidden = options["features"], options["mlp_features"]
  widths = {"attn.c_attn": (d, 3 * d), "attn.c_proj": (d, d)}
  widths |= {"mlp.c_fc": (d, hidden), "mlp.c_proj": (hidden, d)}
  shapes: Shapes = {
    "wte.weight": (options["vocab_size"], d),
    "wpe.weight": (options["max_length"], d),
  }
  places = {"wte.weight": "embed.embedding", "wpe.weight": "positions"}
  parts: dict[str, tuple[str, tuple[int, ...]]] = {"ln_f": ("last_norm", (d,))}
  for i in range(options["num_layers"]):
    for theirs, ours in _BLOCK.items():
      parts[f"h.{i}.{theirs}"] = (f"blocks_{i}.{ours}", widths.get(theirs, (d,)))
  for theirs, (ours, shape) in parts.items():
    matrix = len(shape) == 2
    shapes |= {f"{theirs}.weight": shape, f"{theirs}.bias": shape[-1:]}
    places[f"{theirs}.weight"] = f"{ours}.{'kernel' if matrix else 'scale'}"
    places[f"{theirs}.bias"] = f"{ours}.bias"
  return shapes, places


def _check(tensors: Mapping[str, ArrayLike], wanted: Shapes) -> None:
  for name, shape in wanted.items():
    if name not in tensors:
      raise ValueError(f"tensor {name!r} is missing: a GPT-2 has one of {shape}")
    if np.shape(tensors[name]) != shape:
      found = np.shape(tensors[name])
      raise ValueError(f"tensor {name!r} has shape {found}, wanted {shape}")
  head = "lm_head.weight"
  if head in tensors and not np.array_equal(tensors[head], tensors["wte.weight"]):
    raise ValueError(f"tensor {head!r} is not 'wte.weight': a GPT-2 has them tied")
  if others := sorted(set(tensors) - set(wanted) - {head}):
    raise ValueError(f"tensor {others[0]!r} is none of a GPT-2's")


def _matrix(shapes: Mapping[str, tuple[int, ...]], name: str) -> tuple[int, int]:
  """The shape of a tensor that the sizes are read from."""
  if name not in shapes:
    raise ValueError(f"tensor {name!r} is missing: a GPT-2 has a matrix of that name")
  if len(shapes[name]) != 2:
    raise ValueError(f"tensor {name!r} has shape {shapes[name]}, wanted a matrix")
  return shapes[name][0], shapes[name][1]


def _read(weights: Weights) -> dict[str, ArrayLike]:
  """The tensors by name, without prefix and without what is no weight."""
  if not isinstance(weights, Mapping):
    weights = _load(weights)
  tensors = {name.removeprefix(_PREFIX): a for name, a in weights.items()}
  return {name: a for name, a in tensors.items() if not _NO_WEIGHTS.fullmatch(name)}


def _load(path: str | os.PathLike) -> dict[str, np.ndarray]:
  from safetensors.numpy import load_file

  try:
    return load_file(path)
  except KeyError as error:  # NumPy has no bfloat16
    raise ValueError(f"{path}: {error} tensors; float16 and float32 are read") from None
