"""Digits over photographs: the absolute difference of a digit and a crop, per channel.

As MNIST-M is made of MNIST and BSDS500, by Ganin et al. 2016, section 5.2; here the
photographs are scikit-learn's two. https://arxiv.org/abs/1505.07818
"""

import functools
from typing import Any

import numpy as np
from einops import reduce

from jgm.core.experiment import Batch, Dataset
from jgm.core.state import Array, PyTree
from jgm.data.errors import DatasetError
from jgm.data.photos import SIZE, make_photos
from jgm.data.shapes import shapes_of
from jgm.data.spec import DataSpec, Numbers, from_levels, to_levels

SUFFIX = "_over_photos"  # of the names of such datasets


def make_blended(digits: Dataset, *, seed: int, strength: float = 1.0) -> Dataset:
  """Grey images, each over a crop of a photograph.

  Training images lie over the training strips of the photographs, at places drawn anew
  in each step; test images over the test strips, each at a place of its own.

  Args:
    digits: grey images [H, W, 1] of at most 32x32, held in memory.
    seed: of the places.
    strength: what the photographs are multiplied by, from 0, black, to 1. Below one
      half ink is brighter than paper; at 1, as in MNIST-M, digits over bright places
      are negatives.

  Returns:
    A Dataset with the labels of `digits` and x float32 [B, H, W, 3].

  Raises:
    DatasetError: if `digits` are no such images, or `strength` is not in [0, 1].
  """
  shape = digits.spec.shape
  if len(shape) != 3 or shape[2] != 1 or max(shape) > SIZE:
    raise DatasetError(
      f"{digits.name}{SUFFIX}: grey images of at most {SIZE}x{SIZE} are laid over "
      f"photographs; those of {digits.name} are {list(shape)}"
    )
  if digits.batch_axis is not None:
    raise DatasetError(f"{digits.name}{SUFFIX}: {digits.name} must be held in memory")
  if not 0 <= strength <= 1:
    raise DatasetError(f"config.data.photo_strength is {strength}: it is in [0, 1]")
  spec = digits.spec._replace(shape=(*shape[:2], 3), levels=256)
  photos = make_photos(batch_size=digits.batch_size, seed=seed)

  @functools.cache
  def arrays() -> PyTree:
    return {"digits": digits.arrays(0, 1), "photos": photos.arrays(0, 1)}

  def shapes(num_steps: int) -> PyTree:
    parts = {"digits": digits, "photos": photos}
    return {name: shapes_of(part, num_steps) for name, part in parts.items()}

  def batch(arrays: PyTree, step: Array) -> Batch:
    of_digits = digits.batch(arrays["digits"], step)
    crops = photos.batch(arrays["photos"], step)["x"]
    return {**of_digits, "x": blend(of_digits["x"], crops, spec, strength=strength)}

  @functools.cache
  def split(which: str) -> Batch:
    of_digits, crops = digits.split(which), photos.split(which)["x"]
    chosen = chosen_crops(len(of_digits["x"]), len(crops))
    x = blend(of_digits["x"], crops[chosen], spec, strength=strength)
    return {**of_digits, "x": x}

  return Dataset(
    name=digits.name + SUFFIX,
    spec=spec,
    batch_size=digits.batch_size,
    arrays=lambda first_step, num_steps, rows=None: arrays(),
    batch=batch,
    split=split,
    shapes=shapes,
  )


def blend(digits: Numbers, crops: Numbers, spec: DataSpec, *, strength: float) -> Any:
  """|strength * crop - digit| of each channel, black being 0, in 256 levels.

  The crop is shrunk as far as the digit's size allows (to a quarter for 8x8), for its
  texture to be of the size of strokes.

  Args:
    digits: [B, H, W, 1] float in [low, high], the ink being high.
    crops: [B, 32, 32, 3] float in [low, high].
    spec: of what results.
    strength: see `make_blended`.

  Returns:
    [B, H, W, 3] float32 in [low, high]. Property: over black it is the digit, over
    white at strength 1 its negative.
  """
  height, width = digits.shape[1:3]
  factor = SIZE // max(height, width)
  shrunk: Any = reduce(
    crops[:, : factor * height, : factor * width],
    "b (h i) (w j) c -> b h w c",
    "mean",
    i=factor,
    j=factor,
  )
  low = np.float32(spec.low)
  difference = abs(np.float32(strength) * (shrunk - low) - (digits - low))
  return from_levels(to_levels(difference + low, spec), spec)


def chosen_crops(num_digits: int, num_crops: int) -> np.ndarray:
  """Which crop each digit of a split lies over, [num_digits]; no seed changes it."""
  order = np.random.default_rng(0).permutation(num_crops)
  return np.resize(order, num_digits)  # repeated where there are more digits
