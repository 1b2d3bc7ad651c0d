"""The Inception network of 2015, up to its last pooling: the features that FID is of.

FID is this network's number and no other's, so it needs this network's weights, which
no package brings. `python -m jgm.eval.convert_inception weights.pth weights.npz` makes
the file that is read here: for each of the 94 layers of `inception_layers`, such as
"Mixed_5b.branch1x1", the float32 arrays

    LAYER/kernel [kh, kw, in, out]   LAYER/scale, /bias, /mean, /variance [out]

Reference: Heusel et al. 2017, section 3. https://arxiv.org/abs/1706.08500
"""

import os
import pathlib
import zipfile
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jgm.core.state import Array
from jgm.data.spec import DataSpec, to_uint8
from jgm.eval.inception_layers import (
  BLOCKS,
  STEM,
  Chain,
  Layer,
  layer_shapes,
  side_by_side,
)
from jgm.models.conv import conv

Folded = Mapping[str, Array]

SIZE = 299
BATCH_SIZE = 50
BATCH_NORM_EPSILON = 1e-3
PARTS = ("kernel", "scale", "bias", "mean", "variance")


POOLINGS: dict[str, Callable[[Array], Array]] = {
  # The zeros beyond the edge are not counted in the mean.
  "average": lambda x: nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False),
  "maximum": lambda x: nn.max_pool(x, (3, 3), padding="SAME"),
  "halve": lambda x: nn.max_pool(x, (3, 3), strides=(2, 2), padding="VALID"),
}


def load_inception(
  path: str | os.PathLike, spec: DataSpec
) -> Callable[[np.ndarray], np.ndarray]:
  """The features that FID is of, from weights on the disk.

  Args:
    path: an npz file as `jgm.eval.convert_inception` writes it.
    spec: the range of the images.

  Returns:
    images [N, H, W, C] in the spec's range, C of 1 or 3 -> features [N, 2048] float32.
    They are rounded to 8 bits and resized to 299x299 bilinearly, without smoothing.

  Raises:
    FileNotFoundError: if there is no such file.
    ValueError: if it is no npz file, or lacks a tensor, or has one of another shape;
      names it.
  """
  folded = fold_batch_norm(read_tensors(path))

  def features(images: np.ndarray) -> np.ndarray:
    n = len(images)
    padded = np.concatenate([images, np.repeat(images[:1], -n % BATCH_SIZE, axis=0)])
    found = [
      jax.device_get(pool3(folded, to_input(to_uint8(batch, spec))))
      for batch in np.split(padded, len(padded) // BATCH_SIZE)
    ]
    return np.concatenate(found)[:n]

  return features


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The tensors of a file, once all are seen to be there and of the right shape.

  Args:
    path: an npz file.

  Returns:
    {"LAYER/PART": float32}, of every layer and part.

  Raises:
    FileNotFoundError: if there is no such file.
    ValueError: if it is damaged or no npz file, or a tensor is missing, misshapen or
      not finite.
  """
  if not pathlib.Path(path).is_file():
    raise FileNotFoundError(f"config.eval.inception: there is no file {path}")
  try:
    # Opened here, since numpy leaves a file that is no archive open.
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
      tensors = {name: archive[name] for name in archive.files}
  except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
    raise ValueError(f"{path} is no file of Inception's weights: {error}") from error
  for name, shape in tensor_shapes().items():
    if name not in tensors:
      raise ValueError(f"{path} lacks the tensor {name} {shape}")
    if tensors[name].shape != shape:
      raise ValueError(f"{path}: {name} is {tensors[name].shape}; expected {shape}")
    if not np.isfinite(tensors[name]).all():
      raise ValueError(f"{path}: {name} holds values that are not finite")
  return {name: tensors[name].astype(np.float32) for name in tensor_shapes()}


def tensor_shapes() -> dict[str, tuple[int, ...]]:
  """The shape of every tensor of the file, by "LAYER/PART"."""
  return {
    f"{layer}/{part}": shape if part == "kernel" else shape[-1:]
    for layer, shape in layer_shapes().items()
    for part in PARTS
  }


def fold_batch_norm(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Kernels and biases that do the batch normalisation too.

  Args:
    tensors: {"LAYER/PART"}, of every layer and part.

  Returns:
    {"LAYER/kernel" [kh, kw, in, out], "LAYER/bias" [out]}, float32.
  """
  folded = {}
  for layer in layer_shapes():
    kernel, scale, bias, mean, variance = (
      tensors[f"{layer}/{part}"].astype(np.float64) for part in PARTS
    )
    factor = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
    folded[f"{layer}/kernel"] = (kernel * factor).astype(np.float32)
    folded[f"{layer}/bias"] = (bias - mean * factor).astype(np.float32)
  return folded


def to_input(images: np.ndarray) -> Array:
  """Images as the network takes them.

  Args:
    images: [B, H, W, C] uint8, C of 1 or 3; grey ones get three equal channels.

  Returns:
    [B, 299, 299, 3] float32 in [-1, 1], resized bilinearly between pixels' centres,
    with no smoothing where that makes them smaller: the way FID is defined.
  """
  x = jnp.asarray(images, jnp.float32) / 255
  if x.shape[-1] not in (1, 3):
    raise ValueError(f"Inception takes 1 or 3 channels; got {x.shape[-1]}")
  x = jnp.broadcast_to(x, (*x.shape[:-1], 3))
  size = (len(x), SIZE, SIZE, 3)
  resized = jax.image.resize(x, size, "bilinear", antialias=False)
  return 2 * jnp.clip(resized, 0, 1) - 1  # the weights add up to 1 but for rounding


@jax.jit
def pool3(folded: Folded, x: Array) -> Array:
  """The features of prepared images.

  Args:
    folded: as `fold_batch_norm` makes them.
    x: [B, H, W, 3] float32 in [-1, 1], 75x75 or more.

  Returns:
    [B, 2048] float32: the mean of the last block over the image.
  """
  with jax.default_matmul_precision("highest"):
    x = run_chain(folded, STEM, "", x)
    for block, chains in BLOCKS.items():
      joined = [run_chain(folded, chain, f"{block}.", x) for chain in chains]
      x = jnp.concatenate(joined, axis=-1)
  return x.mean(axis=(1, 2))


def run_chain(folded: Folded, chain: Chain, prefix: str, x: Array) -> Array:
  """One chain of a block.

  Args:
    folded: as `fold_batch_norm` makes them.
    chain: its links.
    prefix: of the layers' names.
    x: [B, H, W, C].

  Returns:
    [B, H', W', C'].
  """
  for link in chain:
    if isinstance(link, str):
      x = POOLINGS[link](x)
    else:
      layers = side_by_side(link)
      x = jnp.concatenate(
        [run_layer(folded, layer, prefix, x) for layer in layers], axis=-1
      )
  return x


def run_layer(folded: Folded, layer: Layer, prefix: str, x: Array) -> Array:
  """A convolution with its normalisation, rectified.

  Args:
    folded: as `fold_batch_norm` makes them.
    layer: which.
    prefix: of its name.
    x: [B, H, W, C].

  Returns:
    [B, H', W', layer.channels].
  """
  name = prefix + layer.name
  kernel = jnp.asarray(folded[f"{name}/kernel"])
  y = conv(x, kernel, strides=layer.stride, padding=layer.padding)
  return nn.relu(y + jnp.reshape(folded[f"{name}/bias"], (1, 1, 1, -1)))
