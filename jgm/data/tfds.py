"""Any image dataset that TFDS has prepared, without TensorFlow, read ahead on the host.

TFDS reads ArrayRecord files at random places, so the batch of any step is had at once,
in whatever order the shuffle asks for.
"""

import concurrent.futures
import contextlib
import functools
import io
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging

from jgm.core.experiment import Dataset
from jgm.data.errors import DatasetError
from jgm.data.memory import Levels, make_memory_dataset
from jgm.data.prepared import KNOWN, default_data_dir, find_prepared, parse_name
from jgm.data.read_ahead import make_read_ahead_dataset
from jgm.data.spec import DataSpec

# TFDS itself is imported where it is used: it takes half a second.


def make_tfds_dataset(
  name: str,
  *,
  batch_size: int,
  seed: int,
  data_dir: str | None = None,
  flip: bool = False,
  in_memory: bool = False,
) -> Dataset:
  """A dataset of images that TFDS has prepared.

  Args:
    name: `name[/config][:version]`.
    batch_size: the global batch size, B.
    seed: the seed of the order and of the flips.
    data_dir: where datasets are kept, a folder or `gs://...`; default: TFDS's own.
    flip: whether half of the images are mirrored, chosen anew in each step.
    in_memory: whether the training split lives whole on the device. The batches are the
      same numbers either way.

  Returns:
    A Dataset whose batches are {"x": float32 [B, H, W, C], "label": int32 [B]}.

  Raises:
    DatasetError: if it is not prepared: here, or at the first read where the shape is
      known without (`KNOWN`), so that a plan needs no data.
  """
  parsed, data_dir = parse_name(name), data_dir or default_data_dir()
  spec = None if parsed.config else KNOWN.get(parsed.dataset)
  if spec is None:
    spec = read_spec(find_prepared(parsed, data_dir))

  @functools.cache
  def source(split: str) -> Sequence[Any]:
    found = read_spec(find_prepared(parsed, data_dir))
    if found._replace(class_names=spec.class_names) != spec:
      raise DatasetError(f"{name} in {data_dir} is {found}, and not {spec}")
    return open_source(find_prepared(parsed, data_dir, records=True), split)

  common: dict[str, Any] = {"batch_size": batch_size, "seed": seed, "flip": flip}
  if in_memory:
    return make_memory_dataset(name, spec, lambda s: read_all(source(s)), **common)
  return make_read_ahead_dataset(
    name,
    spec,
    lambda indices: read_examples(source("train"), indices),
    lambda split: read_all(source(split)),
    **common,
  )


def read_spec(folder: pathlib.Path) -> DataSpec:
  """The shape, the range and the sizes of a prepared dataset.

  A builder whose images have another number of grey levels than 256 says so in its
  metadata, as {"levels": 17}.

  Raises:
    DatasetError: if it holds no uint8 images of one size, or no ArrayRecord files.
  """
  import tensorflow_datasets as tfds

  info = tfds.builder_from_directory(folder).info
  features = dict(info.features.items())
  image, label = features.get("image"), features.get("label")
  if image is None or len(image.shape) != 3 or None in image.shape:
    raise DatasetError(
      f"{info.full_name} has no images of one size: its features are {sorted(features)}"
    )
  if image.np_dtype != np.uint8:
    raise DatasetError(f"{info.full_name} has {image.np_dtype} images, not uint8")
  check_format(info)
  classes = getattr(label, "num_classes", None) or 0
  return DataSpec(
    shape=tuple(image.shape),
    levels=int((info.metadata or {}).get("levels", 256)),
    num_classes=classes,
    num_train=info.splits["train"].num_examples,
    num_test=info.splits[_split_name(info, "test")].num_examples,
    class_names=tuple(getattr(label, "names", ())) if classes else (),
  )


def open_source(folder: pathlib.Path, split: str) -> Sequence[Any]:
  """TFDS's random-access source of a split; "test" may be called "validation"."""
  import tensorflow_datasets as tfds

  builder = tfds.builder_from_directory(folder)
  source = builder.as_data_source(_split_name(builder.info, split))
  with quiet():
    source[0]  # the first image brings TFDS's advice on what else to install
  return source


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """Neither TFDS's prints nor its progress bars nor its log."""
  import tensorflow_datasets as tfds

  verbosity = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  tfds.display_progress_bar(False)
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    tfds.display_progress_bar(True)
    logging.set_verbosity(verbosity)


def read_examples(source: Sequence[Any], indices: Sequence[int]) -> Levels:
  """Chosen examples: {"image": uint8 [N, H, W, C], "label": int32 [N]}."""
  examples = source.__getitems__([int(index) for index in indices])  # type: ignore
  labels = [example.get("label", 0) for example in examples]
  return {
    "image": np.stack([example["image"] for example in examples]),
    "label": np.array(labels, np.int32),
  }


def read_all(source: Sequence[Any]) -> Levels:
  """All examples, in the order of the files."""
  blocks = [
    range(first, min(first + 1000, len(source)))
    for first in range(0, len(source), 1000)
  ]
  with concurrent.futures.ThreadPoolExecutor() as threads:  # decoding frees the GIL
    parts = list(threads.map(lambda block: read_examples(source, block), blocks))
  return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _split_name(info: Any, split: str) -> str:
  names = {"test": ("test", "validation")}.get(split, (split,))
  for name in names:
    if name in info.splits:
      return name
  raise DatasetError(f"{info.full_name} has no split {split!r}: {list(info.splits)}")


def check_format(info: Any) -> None:
  """Raises a DatasetError if a dataset's files need TensorFlow to be read."""
  if info.file_format.value != "array_record":
    raise DatasetError(
      f"{info.full_name} is prepared as {info.file_format.value}, which needs "
      "TensorFlow to read: prepare it as array_record in another folder, with\n"
      f"  python -m jgm.data.prepare {info.name} --data_dir=DIR"
    )
