"""Turns PyTorch weights of the Inception network into the file that jgm reads.

    python -m jgm.eval.convert_inception weights.pth weights.npz

The weights are those that pytorch-fid uses and publishes: TensorFlow's network of 2015,
whose last layer has 1,008 outputs. torchvision's own weights have the same layers, but
1,000 outputs and other values. What they measure is not FID, so they are refused.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence

import einops
import numpy as np

from jgm.eval.inception_layers import layer_shapes

# What each part is called in PyTorch.
SOURCES = {
  "kernel": "conv.weight",
  "scale": "bn.weight",
  "bias": "bn.bias",
  "mean": "bn.running_mean",
  "variance": "bn.running_var",
}


def convert(state_dict: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The tensors of a state dict under jgm's names and in its layout.

  Args:
    state_dict: by PyTorch's names; the last layer and the counters are left out.

  Returns:
    {"LAYER/PART": float32}, as `jgm.eval.inception` reads them.

  Raises:
    ValueError: if a tensor is missing or of another shape, and names it; or if the last
      layer is not that of the network of 2015.
  """
  outputs = len(state_dict["fc.bias"]) if "fc.bias" in state_dict else 1008
  if outputs != 1008:
    raise ValueError(
      f"these weights tell {outputs} classes apart, the network that FID is defined by "
      "1008: take those that pytorch-fid publishes"
    )
  tensors = {}
  for layer, shape in layer_shapes().items():
    for part, source in SOURCES.items():
      name = f"{layer}.{source}"
      if name not in state_dict:
        raise ValueError(f"the weights lack the tensor {name}: are they Inception's?")
      tensor = np.asarray(state_dict[name], np.float32)
      if part == "kernel" and tensor.ndim == 4:
        tensor = einops.rearrange(tensor, "o i h w -> h w i o")
      expected = shape if part == "kernel" else shape[-1:]
      if tensor.shape != expected:
        raise ValueError(f"{name} is {tensor.shape} as jgm reads it, not {expected}")
      tensors[f"{layer}/{part}"] = tensor
  return tensors


def main(arguments: Sequence[str]) -> None:
  """The command."""
  parser = argparse.ArgumentParser(
    prog="python -m jgm.eval.convert_inception", description=__doc__.splitlines()[0]
  )
  parser.add_argument("source", help="a .pth file with a state dict")
  parser.add_argument("target", help="the .npz file to write")
  paths = parser.parse_args(arguments)
  try:
    import torch
  except ModuleNotFoundError:
    parser.exit(1, "PyTorch reads this file: pip install torch, then run it again\n")
  state_dict = torch.load(paths.source, map_location="cpu", weights_only=True)
  arrays = {name: tensor.numpy() for name, tensor in state_dict.items()}
  with open(paths.target, "wb") as file:  # savez would add an ending to a name
    np.savez(file, allow_pickle=False, **convert(arrays))
  print(f"{paths.target}: pass it as --config.eval.inception={paths.target}")


if __name__ == "__main__":
  main(sys.argv[1:])
