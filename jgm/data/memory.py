"""Datasets that are small enough to live whole on the device."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import einops
import jax
import jax.numpy as jnp
import numpy as np

from jgm.core.experiment import Batch, Dataset
from jgm.core.state import Array, PyTree
from jgm.data.shuffle import batch_indices, batch_rows, random_bits
from jgm.data.spec import DataSpec, from_levels

Levels = Mapping[str, np.ndarray]  # {"image": uint8 [N, H, W, C], "label": int32 [N]}

FLIPS = 1  # the stream of random bits that decides which images are mirrored


def make_memory_dataset(
  name: str,
  spec: DataSpec,
  read: Callable[[str], Levels],
  *,
  batch_size: int,
  seed: int,
  flip: bool = False,
) -> Dataset:
  """A dataset of images whose arrays are the whole training split.

  Args:
    name: the dataset's name.
    spec: its shape and range.
    read: "train" or "test" -> the grey levels and labels; called once for each.
    batch_size: the global batch size, B.
    seed: the seed of the order and of the flips.
    flip: whether half of the images, chosen anew in each step, are mirrored.

  Returns:
    A Dataset whose batches are {"x": float32 [B, H, W, C], "label": int32 [B]}.
  """
  read = functools.cache(read)

  def batch(arrays: PyTree, step: Array) -> Batch:
    rows = batch_rows(batch_size)
    chosen = batch_indices(
      step, rows, batch_size=batch_size, num_examples=spec.num_train, seed=seed
    )
    mirrored = mirrored_rows(step, rows, seed=seed) if flip else None
    return finish(arrays["image"][chosen], arrays["label"][chosen], mirrored, spec)

  return Dataset(
    name=name,
    spec=spec,
    batch_size=batch_size,
    arrays=lambda first_step, num_steps, rows=None: read("train"),
    batch=batch,
    split=lambda split: whole_split(read, split, spec),
    shapes=lambda num_steps: level_shapes((spec.num_train,), spec),
  )


def level_shapes(leading: tuple[int, ...], spec: DataSpec) -> PyTree:
  """The shapes of so many images as grey levels, and of their labels."""
  return {
    "image": jax.ShapeDtypeStruct((*leading, *spec.shape), np.uint8),
    "label": jax.ShapeDtypeStruct(leading, np.int32),
  }


def mirrored_rows(step: Any, rows: np.ndarray, *, seed: int) -> Any:
  """Which rows of a step's batch are mirrored, each with probability 1/2: bool [R]."""
  return random_bits(step, rows, seed=seed, stream=FLIPS) >> np.uint32(31) == 1


def finish(
  image: Array, label: Array, mirrored: Array | None, spec: DataSpec
) -> dict[str, Array]:
  """A batch out of grey levels, in the model's range.

  Args:
    image: [B, H, W, C] uint8, grey levels.
    label: [B] int32.
    mirrored: [B] bool, which images to flip from left to right, or None.
    spec: the range and the number of levels.

  Returns:
    {"x": float32 [B, H, W, C] in [low, high], "label": int32 [B]}.
  """
  if mirrored is not None:
    choose = einops.rearrange(mirrored, "b -> b 1 1 1")
    image = jnp.where(choose, image[:, :, ::-1], image)
  return {"x": from_levels(image, spec), "label": label}  # type: ignore[dict-item]


def whole_split(
  read: Callable[[str], Levels], split: str, spec: DataSpec
) -> dict[str, Any]:
  """A whole split in the model's range, never mirrored, as numpy arrays.

  Raises:
    ValueError: if the split is neither "train" nor "test".
  """
  check_split(split)
  levels = read(split)
  return {"x": from_levels(levels["image"], spec), "label": levels["label"]}


def check_split(split: str) -> None:
  """Raises a ValueError if the split is neither "train" nor "test"."""
  if split not in ("train", "test"):
    raise ValueError(f"unknown split {split!r}: it is 'train' or 'test'")
