"""The handwritten digits, prepared through TFDS on first use, in a second or two."""

import os
import pathlib
import tempfile

from jgm.cache import cache_dir
from jgm.core.experiment import Dataset
from jgm.data.errors import DatasetError
from jgm.data.memory import Levels, make_memory_dataset
from jgm.data.spec import DataSpec
from jgm.data.tfds import open_source, quiet, read_all

# `digits_builder` is imported only to prepare: TFDS takes half a second to import.
SPEC = DataSpec(
  shape=(8, 8, 1),
  levels=17,
  num_classes=10,
  num_train=1297,
  num_test=500,
  class_names=tuple("0123456789"),
)


def make_digits(*, batch_size: int, seed: int, flip: bool = False) -> Dataset:
  """scikit-learn's 1,797 handwritten digits, 8x8, held on the device."""
  return make_memory_dataset(
    "digits", SPEC, read_digits, batch_size=batch_size, seed=seed, flip=flip
  )


def read_digits(split: str) -> Levels:
  """The grey levels and labels of a split, prepared first where they are not yet."""
  return read_all(open_source(prepare_digits(), split))


def prepare_digits(data_dir: str | os.PathLike | None = None) -> pathlib.Path:
  """Writes the digits as a TFDS dataset, unless that was done before.

  Several processes may do so at once: each prepares in a folder of its own, whose
  renaming is atomic, and whoever comes second finds the work done.

  Args:
    data_dir: where datasets are kept; default: in jgm's cache.

  Returns:
    The folder with the prepared files.

  Raises:
    DatasetError: if the folder cannot be written; says how to choose another.
  """
  try:
    root = cache_dir("tfds") if data_dir is None else pathlib.Path(data_dir)
    final = root / "digits" / "1.0.0"
    if not final.is_dir():
      final.parent.mkdir(parents=True, exist_ok=True)
      _prepare_in(root, final)
  except OSError as error:
    raise DatasetError(
      f"the digits cannot be prepared ({error}): set JGM_CACHE to a folder that can be "
      "written"
    ) from error
  return final


def _prepare_in(root: pathlib.Path, final: pathlib.Path) -> None:
  with tempfile.TemporaryDirectory(prefix=".preparing-", dir=root) as own, quiet():
    from jgm.data.digits_builder import Digits

    builder = Digits(data_dir=own, file_format="array_record")
    builder.download_and_prepare()
    try:
      os.rename(builder.data_dir, final)
    except OSError:
      if not final.is_dir():  # else another process was faster
        raise
