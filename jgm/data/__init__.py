"""Data: a batch is a pure function of (seed, step).

`make_dataset` is the one way in. It reads nothing; the Dataset's `arrays` and `split`
do, at their first call.
"""

from jgm.core.experiment import Dataset
from jgm.data.blended import SUFFIX, make_blended
from jgm.data.digits import make_digits
from jgm.data.errors import DatasetError
from jgm.data.photos import make_photos
from jgm.data.prepared import EMBEDDED
from jgm.data.spec import (
  DataSpec,
  bits_per_dim,
  dequantise,
  from_levels,
  to_levels,
  to_uint8,
)
from jgm.data.tfds import make_tfds_dataset
from jgm.data.toys import TOYS, make_toy

__all__ = [
  "EMBEDDED",
  "DataSpec",
  "DatasetError",
  "bits_per_dim",
  "dequantise",
  "from_levels",
  "make_dataset",
  "to_levels",
  "to_uint8",
]


def make_dataset(
  name: str,
  *,
  batch_size: int,
  seed: int,
  data_dir: str | None = None,
  flip: bool = False,
  in_memory: bool = False,
  arrangement: str = "ring",
  photo_strength: float = 1.0,
) -> Dataset:
  """A dataset by name; building it reads nothing.

  Args:
    name: an embedded dataset (`EMBEDDED`), or any of TFDS's as name[/config][:version];
      or either with "_over_photos" after it, grey images blended over photographs.
    batch_size: the global batch size, B.
    seed: the seed of the order, the flips and the draws: the data's own.
    data_dir: where TFDS datasets are kept, a folder or `gs://...`; default: TFDS's.
    flip: whether half of the images are mirrored, chosen anew in each step.
    in_memory: whether a TFDS dataset lives whole on the device, not read ahead; one
      over photographs always does.
    arrangement: of `gaussian_mixture`: 8 on a "ring", 25 on a "grid", or a "pair".
    photo_strength: of "_over_photos": what photographs are multiplied by; at most 1.

  Returns:
    A Dataset. Its batches are {"x": float32 [B, *spec.shape], "label": int32 [B]}:
    images [H, W, C] with values in [low, high], or points [2] in the plane.

  Raises:
    DatasetError: if the batch size is less than 1, there is no such dataset (names the
      nearest one) or it is not prepared (names the command that prepares it).
  """
  if batch_size < 1:
    raise DatasetError(f"config.data.batch_size is {batch_size}: it is at least 1")
  if name.endswith(SUFFIX):
    digits = make_dataset(
      name.removesuffix(SUFFIX),
      batch_size=batch_size,
      seed=seed,
      data_dir=data_dir,
      flip=flip,
      in_memory=True,
    )
    return make_blended(digits, seed=seed, strength=photo_strength)
  if name in TOYS:
    return make_toy(name, batch_size=batch_size, seed=seed, arrangement=arrangement)
  if name == "digits":
    return make_digits(batch_size=batch_size, seed=seed, flip=flip)
  if name == "photos":
    return make_photos(batch_size=batch_size, seed=seed, flip=flip)
  return make_tfds_dataset(
    name,
    batch_size=batch_size,
    seed=seed,
    data_dir=data_dir,
    flip=flip,
    in_memory=in_memory,
  )
