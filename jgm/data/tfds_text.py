"""Any text that TFDS has prepared, read without TensorFlow."""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jgm.core.experiment import Dataset
from jgm.data.errors import DatasetError
from jgm.data.large_text import (
  HELD_OUT_BYTES,
  LEARNT_BYTES,
  beginning,
  make_large_text_dataset,
)
from jgm.data.prepared import default_data_dir, find_prepared, parse_name
from jgm.data.text import make_text_dataset
from jgm.data.text_spec import Corpus, join_documents
from jgm.data.tfds import check_format, open_source
from jgm.data.tokenizers import END, as_bytes

# TFDS itself is imported where it is used: it takes half a second.


def make_tfds_text(
  name: str,
  *,
  batch_size: int,
  seed: int,
  context: int,
  data_dir: str | None = None,
  in_memory: bool = False,
  tokenizer: str = "bytes",
  vocab_size: int | None = None,
) -> Dataset:
  """A text that TFDS has prepared, such as `tiny_shakespeare` or `c4/en`.

  Args:
    name: `name[/config][:version]`; its examples have a feature `text`.
    batch_size: the global batch size, B.
    seed: the seed of the order of the windows.
    context: the number of tokens of a window, T.
    data_dir: where datasets are kept, a folder or `gs://...`; default: TFDS's own. What
      is in a bucket is copied here, whole: of a large text, mount the bucket.
    in_memory: whether the training text lives whole on the device, to be cut at any
      token; else documents are read ahead. What is one long document must be.
    tokenizer: "bytes" or "bpe".
    vocab_size: of "bpe", V.

  Returns:
    A Dataset, as `make_text_dataset` makes it where `in_memory`, else as
    `make_large_text_dataset`. An example is a document. Of what is read ahead, byte
    pairs are learnt from the first 16 MiB (`LEARNT_BYTES`) of training text, and the
    first MiB (`HELD_OUT_BYTES`) of held-out text is evaluated: that of the split
    "test", or "validation" where there is no such.

  Raises:
    DatasetError: for options that cannot be; and at the first read, so that a plan
      needs no data: if it is not prepared (names the command), or has no text.
  """
  parsed, data_dir = parse_name(name), data_dir or default_data_dir()

  @functools.cache
  def documents(split: str) -> TextExamples:
    return TextExamples(find_prepared(parsed, data_dir, records=True), split)

  def read_all() -> Corpus:
    train, test = documents("train"), documents("test")
    whole = [join_documents(each.read(range(len(each)))) for each in (train, test)]
    return Corpus(f"{name} {train.version}", *whole)

  def read_beginnings() -> Corpus:
    train, test = documents("train"), documents("test")
    return Corpus(
      f"{name} {train.version}, the beginnings of its splits",
      join_documents(beginning(train, LEARNT_BYTES)),
      join_documents(beginning(test, HELD_OUT_BYTES)),
    )

  options: dict[str, Any] = {
    "batch_size": batch_size,
    "seed": seed,
    "context": context,
    "tokenizer": tokenizer,
    "vocab_size": vocab_size,
  }
  if in_memory:
    return make_text_dataset(name, read_all, **options)
  return make_large_text_dataset(
    name, read_beginnings, lambda: documents("train"), **options
  )


class TextExamples:
  """The feature `text` of the examples of a split, at random places."""

  def __init__(self, folder: pathlib.Path, split: str):
    """Opens a split.

    Args:
      folder: of a prepared dataset.
      split: "train" or "test".

    Raises:
      DatasetError: if there is no such feature, or there are no ArrayRecord files.
    """
    import tensorflow_datasets as tfds

    info = tfds.builder_from_directory(folder).info
    feature = dict(info.features.items()).get("text")
    if not isinstance(feature, tfds.features.Text):
      raise DatasetError(
        f"{info.full_name} has no text: its features are {sorted(info.features)}"
      )
    check_format(info)
    self.version = folder.name
    self._source: Any = open_source(folder, split)

  def __len__(self) -> int:
    return len(self._source)

  def read(self, indices: Sequence[int] | np.ndarray) -> list[bytes]:
    """Some documents in UTF-8, without the byte 0, which marks where one ends."""
    examples = self._source.__getitems__([int(index) for index in indices])
    return [as_bytes(example["text"]).replace(END, b"") for example in examples]
