"""Reading datasets that TFDS has prepared, without TensorFlow and without a network."""

import concurrent.futures
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from jgm.data.memory import Levels


def read_split(folder: pathlib.Path, split: str) -> Levels:
  """A whole split as grey levels and labels.

  Args:
    folder: the prepared dataset: `data_dir/name/version`.
    split: the split's name.

  Returns:
    {"image": uint8 [N, H, W, C], "label": int32 [N]}.
  """
  source = tfds.builder_from_directory(folder).as_data_source(split)
  with concurrent.futures.ThreadPoolExecutor() as threads:  # decoding frees the GIL
    parts = threads.map(
      lambda rows: stack(source.__getitems__(rows)),
      [range(i, min(i + 1000, len(source))) for i in range(0, len(source), 1000)],
    )
    columns = list(parts)
  return {key: np.concatenate([part[key] for part in columns]) for key in columns[0]}


def stack(examples) -> dict[str, np.ndarray]:
  """Examples as arrays with a leading axis."""
  return {
    "image": np.stack([example["image"] for example in examples]),
    "label": np.array([example["label"] for example in examples], np.int32),
  }
