"""Any text that TFDS has prepared, read without TensorFlow, whole on the device."""

import pathlib

from jgm.core.experiment import Dataset
from jgm.data.errors import DatasetError
from jgm.data.prepared import default_data_dir, find_prepared, parse_name
from jgm.data.text import make_text_dataset
from jgm.data.text_spec import Corpus, join_documents
from jgm.data.tfds import check_format, open_source
from jgm.data.tokenizers import as_bytes

# TFDS itself is imported where it is used: it takes half a second.


def make_tfds_text(
  name: str,
  *,
  batch_size: int,
  seed: int,
  context: int,
  data_dir: str | None = None,
  tokenizer: str = "bytes",
  vocab_size: int | None = None,
) -> Dataset:
  """A text that TFDS has prepared, such as `tiny_shakespeare`.

  Args:
    name: `name[/config][:version]`; its examples have a feature `text`.
    batch_size: the global batch size, B.
    seed: the seed of the order of the windows.
    context: the number of tokens of a window, T.
    data_dir: where datasets are kept, a folder or `gs://...`; default: TFDS's own.
    tokenizer: "bytes" or "bpe".
    vocab_size: of "bpe", V.

  Returns:
    A Dataset, as `make_text_dataset` makes it. An example is a document.

  Raises:
    DatasetError: for options that cannot be; and at the first read, so that a plan
      needs no data: if it is not prepared (names the command), or has no text.
  """
  parsed, data_dir = parse_name(name), data_dir or default_data_dir()

  def read() -> Corpus:
    folder = find_prepared(parsed, data_dir, records=True)
    splits = [join_documents(read_texts(folder, split)) for split in ("train", "test")]
    return Corpus(f"{name} {folder.name}", *splits)

  return make_text_dataset(
    name,
    read,
    batch_size=batch_size,
    seed=seed,
    context=context,
    tokenizer=tokenizer,
    vocab_size=vocab_size,
  )


def read_texts(folder: pathlib.Path, split: str) -> list[bytes]:
  """The feature `text` of all examples of a split, in the order of the files.

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
  source = open_source(folder, split)
  return [as_bytes(source[index]["text"]) for index in range(len(source))]
