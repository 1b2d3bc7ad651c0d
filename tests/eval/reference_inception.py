"""Prints what pytorch-fid's own network makes of weights and images drawn here.

    pip install torch torchvision pytorch-fid
    python tests/eval/reference_inception.py

`test_inception.py` holds jgm's network to the numbers printed, which came from
pytorch-fid b9c1811 with torchvision 0.28.0 and torch 2.13.0. The weights are drawn, not
the real ones: those are in no package index, and the structure is what is to be held.
"""

import numpy as np


def drawn_state_dict(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
  """A state dict in PyTorch's names and layout, of these kernels (kh, kw, in, out)."""
  rng = np.random.default_rng(0)
  state = {}
  for name in sorted(shapes):
    kh, kw, channels_in, channels_out = shapes[name]
    kernel = rng.standard_normal((channels_out, channels_in, kh, kw), np.float32)
    state[f"{name}.conv.weight"] = kernel * (2 / (kh * kw * channels_in)) ** 0.5
    for part, low, high in (
      ("weight", 0.5, 1.5),
      ("bias", -0.3, 0.3),
      ("running_mean", -0.3, 0.3),
      ("running_var", 0.5, 1.5),
    ):
      drawn = low + (high - low) * rng.random(channels_out, np.float32)
      state[f"{name}.bn.{part}"] = drawn.astype(np.float32)
    state[f"{name}.bn.num_batches_tracked"] = np.array(1)
  state["fc.weight"] = np.zeros((1008, 2048), np.float32)
  state["fc.bias"] = np.zeros(1008, np.float32)
  return state


def drawn_images() -> np.ndarray:
  """Two colour images [2, 20, 28, 3] uint8, of unequal sides."""
  return np.random.default_rng(1).integers(0, 256, (2, 20, 28, 3), np.uint8)


def fingerprint(features: np.ndarray) -> np.ndarray:
  """Of features [2, 2048], six of each branch's and two moments, as [2, 8]."""
  some = features[:, [0, 319, 500, 1000, 1500, 2047]]
  return np.c_[some, features.mean(axis=1), features.std(axis=1)]


def main() -> None:
  """Prints the fingerprint."""
  import pytorch_fid.inception
  import torch
  import torchvision

  # The same layers without the published weights; the real ones replace these.
  bare = torchvision.models.inception_v3(
    num_classes=1008, aux_logits=False, weights=None, init_weights=False
  )
  shapes = {
    name.removesuffix(".conv.weight"): (*tensor.shape[2:], *tensor.shape[1::-1])
    for name, tensor in bare.state_dict().items()
    if name.endswith(".conv.weight")
  }
  state = {k: torch.from_numpy(v) for k, v in drawn_state_dict(shapes).items()}
  pytorch_fid.inception.load_state_dict_from_url = lambda *_, **__: state
  net = pytorch_fid.inception.InceptionV3().eval()
  images = torch.from_numpy(drawn_images()).permute(0, 3, 1, 2) / 255
  with torch.no_grad():
    features = net(images)[0][..., 0, 0].numpy()
  print(np.array2string(fingerprint(features), precision=6, separator=", "))


if __name__ == "__main__":
  main()
