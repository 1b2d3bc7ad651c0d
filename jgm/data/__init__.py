"""Data: a batch is a pure function of (seed, step).

`make_dataset` is the one way in. It reads nothing; the Dataset's `arrays` and `split`
do, at their first call.
"""

import difflib

from jgm.core.experiment import Dataset
from jgm.data.digits import make_digits
from jgm.data.spec import (
  DataSpec,
  bits_per_dim,
  dequantise,
  from_levels,
  to_levels,
  to_uint8,
)
from jgm.data.toys import TOYS, make_toy

__all__ = [
  "DataSpec",
  "bits_per_dim",
  "dequantise",
  "from_levels",
  "make_dataset",
  "to_levels",
  "to_uint8",
]

EMBEDDED = ("digits", *TOYS)


def make_dataset(
  name: str,
  *,
  batch_size: int,
  seed: int,
  data_dir: str | None = None,
  flip: bool = False,
  arrangement: str = "ring",
) -> Dataset:
  """A dataset by name; building it reads nothing.

  Args:
    name: an embedded dataset.
    batch_size: the global batch size, B.
    seed: the seed of the order, the flips and the draws: the data's own.
    data_dir: where TFDS datasets are kept.
    flip: whether half of the images are mirrored, chosen anew in each step.
    arrangement: of `gaussian_mixture`: 8 on a "ring" or 25 on a "grid".

  Returns:
    A Dataset. Batches of images are {"image": float32 [B, H, W, C] in [low, high],
    "label": int32 [B]}; of points in the plane, {"x": float32 [B, 2], "label"}.

  Raises:
    ValueError: if the name is unknown or the batch size is less than 1.
  """
  if batch_size < 1:
    raise ValueError(f"config.data.batch_size is {batch_size}: it is at least 1")
  if name in TOYS:
    return make_toy(name, batch_size=batch_size, seed=seed, arrangement=arrangement)
  if name == "digits":
    return make_digits(batch_size=batch_size, seed=seed, flip=flip)
  near = difflib.get_close_matches(name, EMBEDDED, 1)
  raise ValueError(
    f"unknown dataset {name!r}"
    + (f": did you mean {near[0]!r}?" if near else "")
    + f" Embedded: {', '.join(EMBEDDED)}"
  )
