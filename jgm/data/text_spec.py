"""What a text dataset is made of: its two texts, its tokens, its windows."""

import hashlib
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from jgm.data.errors import DatasetError
from jgm.data.tokenizers import END, Tokenizer


class Corpus(NamedTuple):
  """The text of a dataset, as `join_documents` makes it."""

  name: str  # what it is, and of which version: "CPython 3.11's documentation"
  train: bytes
  test: bytes

  @property
  def sha256(self) -> str:
    """The hash of both splits, 64 hexadecimal digits: of another text, another."""
    return hashlib.sha256(self.train + b"\n" + self.test).hexdigest()

  def __str__(self) -> str:
    sizes = f"{len(self.train):,} + {len(self.test):,} bytes"
    return f"{self.name}: {sizes}, sha256 {self.sha256[:16]}"


class TextSpec(NamedTuple):
  """The windows of a text, and how its tokens are written.

  Its shapes are known without the text; `corpus`, `tokens` and the two numbers of
  windows read it, at the first call.
  """

  shape: tuple[int]  # (T,): a window is T tokens, each with the one that follows it
  vocab_size: int  # V
  tokenizer: Tokenizer
  corpus: Callable[[], Corpus]
  tokens: Callable[[str], np.ndarray]  # "train" or "test" -> the whole split [N]

  @property
  def num_train(self) -> int:
    """The number of windows of split("train")."""
    return num_windows(len(self.tokens("train")), self.shape[0])

  @property
  def num_test(self) -> int:
    """The number of windows of split("test")."""
    return num_windows(len(self.tokens("test")), self.shape[0])


def join_documents(documents: Iterable[bytes]) -> bytes:
  """One text out of documents: an end byte before all of them, and after each.

  So each byte of a document has one before it that it can be predicted from.

  Raises:
    DatasetError: if a document holds the end byte, NUL, which no plain text does.
  """
  documents = list(documents)
  if any(END in document for document in documents):
    raise DatasetError("a document holds the byte 0, which marks the end of documents")
  return END + b"".join(document + END for document in documents)


def num_windows(num_tokens: int, context: int) -> int:
  """How many windows of T tokens a text of N tokens is predicted in."""
  return 1 + math.ceil(max(num_tokens - 1 - context, 0) / stride(context))


def stride(context: int) -> int:
  """How far apart windows of T tokens begin: half of them, so that half is context."""
  return max(1, context // 2)


def sliding_windows(tokens: np.ndarray, context: int) -> dict[str, np.ndarray]:
  """Windows that predict each token of a text but the first, exactly once.

  Args:
    tokens: [N] of any integer type, N > T.
    context: T.

  Returns:
    {"tokens": int32 [W, T+1], "mask": float32 [W, T]}. The mask is 1 on the targets,
    tokens[:, 1:], that count; these have T/2 tokens of context or more, those of the
    first window as many as there are. The last window ends with the text. Property: the
    targets that count are tokens[1:], in order.
  """
  last = len(tokens) - 1 - context
  starts = np.append(np.arange(0, last, stride(context)), last)
  inside = np.arange(context + 1)
  places = starts[:, np.newaxis] + inside
  predicted = np.append(0, starts[:-1] + context)  # the last place before each window
  mask = places[:, 1:] > predicted[:, np.newaxis]
  return {"tokens": tokens[places].astype(np.int32), "mask": mask.astype(np.float32)}
