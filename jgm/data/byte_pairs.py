"""Learns a vocabulary of byte pairs, and keeps it in jgm's cache."""

import functools
import os
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

from jgm.cache import cache_dir
from jgm.data.errors import DatasetError

# The library `tokenizers` is imported where it is used: most text is read as bytes.


def learn_byte_pairs(documents: Sequence[str], digest: str, size: int) -> Any:
  """A model of the library `tokenizers` with `size` tokens; kept in jgm's cache.

  Args:
    documents: the training text.
    digest: a hash of it, which the kept file is named by.
    size: how many tokens, 256 or more.

  Raises:
    DatasetError: if the text has too few pairs, or the cache cannot be written.
  """
  import tokenizers

  try:
    file = cache_dir("tokenizers") / f"bpe-{size}-{digest[:32]}.json"
    if not file.exists():
      _write_whole(file, _train_byte_pairs(documents, size).to_str())
    return tokenizers.Tokenizer.from_file(str(file))
  except OSError as error:
    raise DatasetError(
      f"the vocabulary cannot be kept ({error}): set JGM_CACHE to a folder that can be "
      "written"
    ) from error


def _train_byte_pairs(documents: Sequence[str], size: int) -> Any:
  from tokenizers import Tokenizer, models, pre_tokenizers, trainers

  model = Tokenizer(models.BPE())
  model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
  trainer = trainers.BpeTrainer(
    vocab_size=size, show_progress=False, initial_alphabet=byte_letters()
  )
  model.train_from_iterator(documents, trainer)
  found = model.get_vocab_size()
  if found != size:
    raise DatasetError(
      f"config.data.vocab_size is {size + 1}: the training text has no more than "
      f"{found + 1} tokens"
    )
  return model


def _write_whole(file: pathlib.Path, content: str) -> None:
  # Several processes may learn at once: they find the same, and a renaming is atomic.
  handle, partial = tempfile.mkstemp(dir=file.parent)
  with os.fdopen(handle, "w", encoding="utf-8") as stream:
    stream.write(content)
  os.replace(partial, file)


@functools.cache
def byte_letters() -> list[str]:
  """The letter that byte-level models write for each byte 0 .. 255.

  A byte that is a visible letter of Latin-1 stands for itself; the others, such as the
  space, take the letters from U+0100 on, in order.
  """
  is_seen = lambda b: 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255
  others = [b for b in range(256) if not is_seen(b)]
  return [chr(b) if is_seen(b) else chr(256 + others.index(b)) for b in range(256)]
