"""Crops of scikit-learn's two sample photographs: real natural images, 32x32x3.

Each photograph is cut into strips from top to bottom, by turns for training and for
testing, so that both see sky, roofs and petals alike and no pixel is in both.
"""

import functools

import jax
import numpy as np

from jgm.core.experiment import Batch, Dataset
from jgm.core.program import base_key
from jgm.core.state import Array, PyTree
from jgm.data.memory import Levels, finish, whole_split
from jgm.data.spec import DataSpec

SIZE = 32  # of a crop, in pixels
HEIGHT, WIDTH = 427, 640  # of a photograph
PERIOD = 160  # a strip for training and the strip for testing beside it
STRIPS = {"train": (0, 96), "test": (96, 160)}  # columns of each period, [from, to)
STRIDE = 8  # of the crops of `split`, which overlap

SPEC = DataSpec(
  shape=(SIZE, SIZE, 3),
  levels=256,
  num_classes=2,
  num_train=3600,  # on the grid; a batch takes any of 205,920 places
  num_test=2000,
  class_names=("temple", "flower"),
)


def make_photos(*, batch_size: int, seed: int, flip: bool = False) -> Dataset:
  """Crops at random places of the training strips, the photographs on the device.

  Args:
    batch_size: the global batch size, B.
    seed: the seed of the places and of the flips.
    flip: whether half of the crops are mirrored.

  Returns:
    A Dataset whose batches are {"x": float32 [B, 32, 32, 3], "label": int32 [B]},
    where the label says which photograph.
  """

  def batch(arrays: PyTree, step: Array) -> Batch:
    key = jax.random.fold_in(base_key(seed, "data"), step)
    key_place, key_flip = jax.random.split(key)
    photo, top, left = random_places(key_place, batch_size)
    crops = jax.vmap(
      lambda p, y, x: jax.lax.dynamic_slice(
        arrays["photos"], (p, y, x, 0), (1, SIZE, SIZE, 3)
      )[0]
    )(photo, top, left)
    mirrored = jax.random.bernoulli(key_flip, shape=(batch_size,)) if flip else None
    return finish(crops, photo, mirrored, SPEC)

  return Dataset(
    name="photos",
    spec=SPEC,
    batch_size=batch_size,
    arrays=lambda first_step, num_steps, rows=None: read_photos(),
    batch=batch,
    split=lambda split: whole_split(crops_on_grid, split, SPEC),
    shapes=lambda num_steps: {
      "photos": jax.ShapeDtypeStruct((2, HEIGHT, WIDTH, 3), np.uint8)
    },
  )


def random_places(key: Array, n: int) -> tuple[Array, Array, Array]:
  """Uniformly drawn training crops: the photograph, the top and the left, int32 [n]."""
  key_photo, key_top, key_left = jax.random.split(key, 3)
  first, last = STRIPS["train"]
  per_strip = last - first - SIZE + 1
  place = jax.random.randint(key_left, (n,), 0, WIDTH // PERIOD * per_strip)
  return (
    jax.random.randint(key_photo, (n,), 0, 2),
    jax.random.randint(key_top, (n,), 0, HEIGHT - SIZE + 1),
    place // per_strip * PERIOD + first + place % per_strip,
  )


def grid_places(split: str) -> tuple[np.ndarray, np.ndarray]:
  """The fixed crops of a split, the same for each photograph: tops and lefts, [M]."""
  first, last = STRIPS[split]
  lefts = [
    strip + left
    for strip in range(0, WIDTH, PERIOD)
    for left in range(first, last - SIZE + 1, STRIDE)
  ]
  top, left = np.meshgrid(range(0, HEIGHT - SIZE + 1, STRIDE), lefts, indexing="ij")
  return top.ravel(), left.ravel()


def crops_on_grid(split: str) -> Levels:
  """All crops of a split: uint8 [N, 32, 32, 3], and which photograph, int32 [N]."""
  photos = read_photos()["photos"]
  windows = np.lib.stride_tricks.sliding_window_view(photos, (SIZE, SIZE), (1, 2))
  top, left = grid_places(split)
  crops = np.moveaxis(windows[:, top, left], 2, -1)  # [2, M, C, h, w]
  label = np.repeat(np.arange(2, dtype=np.int32), len(top))
  return {"image": crops.reshape(-1, SIZE, SIZE, 3), "label": label}


@functools.cache
def read_photos() -> dict[str, np.ndarray]:
  """Both photographs: {"photos": uint8 [2, 427, 640, 3]}."""
  from sklearn.datasets import load_sample_images  # takes a second to import

  return {"photos": np.stack(load_sample_images().images)}
