"""Prepares a TFDS dataset for jgm, once, on a machine with a network.

  python -m jgm.data.prepare NAME [--data_dir=DIR]

It downloads the dataset and writes it as ArrayRecord files, which need no TensorFlow to
read; writing most of them does (`pip install -e '.[tfds]'`).
"""

import argparse
import importlib.util
import sys
from collections.abc import Sequence

from jgm.data.digits import prepare_digits
from jgm.data.errors import DatasetError
from jgm.data.prepared import catalogue, default_data_dir, parse_name, unknown


def prepare(name: str, data_dir: str) -> str:
  """Downloads and writes a dataset, and returns the folder that it is in.

  Args:
    name: `name[/config][:version]`, as TFDS writes it.
    data_dir: where datasets are kept.

  Raises:
    DatasetError: if there is no such dataset, or TensorFlow is needed and missing.
  """
  parsed = parse_name(name)
  if parsed.dataset == "digits":
    return str(prepare_digits(data_dir))
  if parsed.dataset not in catalogue():
    raise DatasetError(unknown(parsed.dataset, catalogue()))
  if not has_tensorflow():
    raise DatasetError(
      f"preparing {name!r} needs TensorFlow (reading it does not): "
      "pip install -e '.[tfds]'"
    )
  import tensorflow_datasets as tfds

  builder = tfds.builder(str(parsed), data_dir=data_dir, file_format="array_record")
  builder.download_and_prepare()
  return str(builder.data_path)


def has_tensorflow() -> bool:
  """Whether TensorFlow is installed."""
  return importlib.util.find_spec("tensorflow") is not None


def main(arguments: Sequence[str] | None = None) -> None:
  """The command line."""
  parser = argparse.ArgumentParser(
    prog="python -m jgm.data.prepare", description="Prepares a TFDS dataset for jgm."
  )
  parser.add_argument("name", help="name[/config][:version], such as mnist")
  parser.add_argument("--data_dir", default=default_data_dir(), help="default: TFDS's")
  options = parser.parse_args(arguments)
  try:
    folder = prepare(options.name, options.data_dir)
  except (DatasetError, OSError) as error:
    sys.exit(f"error: {error}")
  print(f"{options.name} is prepared in {folder}")


if __name__ == "__main__":
  main()
