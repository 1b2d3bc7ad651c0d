"""Texts that fit on no device: documents, read on the host some steps ahead."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import jax
import numpy as np

from jgm.core.experiment import Batch, Dataset
from jgm.core.state import Array, PyTree
from jgm.data.read_ahead import Leaves, at_step, read_ahead
from jgm.data.shuffle import batch_indices, random_bits
from jgm.data.text import make_text_spec
from jgm.data.text_spec import Corpus, sliding_windows
from jgm.data.tokenizers import Tokenizer

ENTRIES = 2  # the stream of random bits that decides where a document is entered
LEARNT_BYTES = 16 * 2**20  # of the training text, what byte pairs are learnt from
HELD_OUT_BYTES = 2**20  # of the held-out text, what is evaluated
BLOCK = 100  # documents that are read at a time


class Documents(Protocol):
  """Documents at random places."""

  def __len__(self) -> int:
    """How many there are."""

  def read(self, indices: Sequence[int] | np.ndarray) -> list[bytes]:
    """Some of them, in UTF-8, without the byte 0. Threads call it."""


def make_large_text_dataset(
  name: str,
  read: Callable[[], Corpus],
  documents: Callable[[], Documents],
  *,
  batch_size: int,
  seed: int,
  context: int,
  tokenizer: str = "bytes",
  vocab_size: int | None = None,
) -> Dataset:
  """Windows of a text's documents, read ahead.

  Args:
    name: the dataset's name.
    read: reads the beginnings of both splits: what byte pairs are learnt from, and what
      is evaluated.
    documents: opens the training documents; kept, and called at the first batch.
    batch_size: the global batch size, B.
    seed: the seed of the order of the documents, and of where they are entered.
    context: the number of tokens of a window, T.
    tokenizer: "bytes" or "bpe".
    vocab_size: of "bpe", V.

  Returns:
    A Dataset whose batches are {"tokens": int32 [B, T+1]} and whose arrays are
    {"tokens": [K, R, T+1]} of the smallest type that fits; see `joined_rows`. In an
    epoch a window begins in each document, but for less than a batch: long documents
    are read in part. Its splits and its corpus are those of the beginnings.

  Raises:
    DatasetError: as `make_text_spec`.
  """
  spec = make_text_spec(
    name, read, context=context, tokenizer=tokenizer, vocab_size=vocab_size
  )
  dtype = np.min_scalar_type(spec.vocab_size - 1)

  def read_step(step: int, rows: np.ndarray) -> Leaves:
    source = documents()
    starts = batch_indices(
      step, rows, batch_size=batch_size, num_examples=len(source), seed=seed
    )
    entries = random_bits(step, rows, seed=seed, stream=ENTRIES)
    tokens = joined_rows(source, spec.tokenizer, starts, entries, context + 1)
    return {"tokens": tokens.astype(dtype)}

  def batch(arrays: PyTree, step: Array) -> Batch:
    return {"tokens": at_step(arrays, step)["tokens"].astype(np.int32)}

  def shapes(num_steps: int) -> PyTree:
    shape = (num_steps, batch_size, context + 1)
    return {"tokens": jax.ShapeDtypeStruct(shape, dtype)}

  return Dataset(
    name=name,
    spec=spec,
    batch_size=batch_size,
    arrays=read_ahead(read_step, batch_size),
    batch=batch,
    split=lambda which: sliding_windows(spec.tokens(which), context),  # type: ignore
    batch_axis=1,
    shapes=shapes,
  )


def joined_rows(
  documents: Documents,
  tokenizer: Tokenizer,
  starts: np.ndarray,
  entries: np.ndarray,
  length: int,
) -> np.ndarray:
  """Rows of tokens, each from the middle of a document on through those after it.

  Args:
    documents: the documents; behind the last comes the first.
    tokenizer: its end token stands before each document.
    starts: [R] int, the documents that are entered.
    entries: [R] uint32, where: 0 at the end token before it, 2^32 - 1 at its last.
    length: the tokens of a row.

  Returns:
    [R, length] int32. Property: by bytes, each row is a piece of all documents as
    `join_documents` joins them, and those once more.
  """

  def read(indices: np.ndarray) -> Iterator[np.ndarray]:
    for text in documents.read(indices):
      yield np.append(np.int32(tokenizer.end_token or 0), tokenizer.encode(text))

  rows = [
    tokens[len(tokens) * int(entry) >> 32 :]
    for tokens, entry in zip(read(starts), entries, strict=True)
  ]
  following = np.array(starts)
  while short := [i for i, row in enumerate(rows) if len(row) < length]:
    following[short] = (following[short] + 1) % len(documents)
    for i, tokens in zip(short, read(following[short]), strict=True):
      rows[i] = np.append(rows[i], tokens)
  return np.stack([row[:length] for row in rows])


def beginning(documents: Documents, most_bytes: int) -> list[bytes]:
  """The first documents, of at most so many bytes; the last may be cut short."""
  found: list[bytes] = []
  for first in range(0, len(documents), BLOCK):
    for text in documents.read(range(first, min(first + BLOCK, len(documents)))):
      if len(text) >= most_bytes:
        return [*found, text[:most_bytes].decode(errors="ignore").encode()]
      found.append(text)
      most_bytes -= len(text)
  return found
