"""What a person must know of samples of text: copies of the data, a collapse.

Thresholds are set so that fresh real text gives no warning (a test holds this).
"""

import zlib
from collections.abc import Sequence

import numpy as np

from jgm.data.text_spec import Corpus
from jgm.eval.copies import longest_copy

LEAST_COPY = 100  # bytes in a row: a line and a half
LEAST_TEXT = 64  # bytes, below which no repetition is told


def text_warnings(samples: Sequence[bytes], corpus: Corpus) -> tuple[str, ...]:
  """Sentences for a person; none for fresh real text.

  Args:
    samples: texts that a model wrote, up to their end.
    corpus: the text that it learnt from, and the one held out.

  Returns:
    The warnings, the gravest first.
  """
  return (
    *warn_of_nothing(samples),
    *warn_of_repetition(samples, corpus),
    *warn_of_copies(samples, corpus),
  )


def warn_of_nothing(samples: Sequence[bytes]) -> tuple[str, ...]:
  """Says so where samples end before they begin."""
  empty = sum(not sample for sample in samples)
  if not empty:
    return ()
  return (f"collapse: {empty} of {len(samples)} samples are empty",)


def warn_of_repetition(samples: Sequence[bytes], corpus: Corpus) -> tuple[str, ...]:
  """Says so where samples say one thing over and over.

  Text that repeats itself compresses: to less than half of what held-out text of the
  same lengths does, and something is wrong.
  """
  told = [sample for sample in samples if len(sample) >= LEAST_TEXT]
  if not told:
    return ()
  found = _compressed_share(told)
  usual = _compressed_share(held_out_like(told, corpus))
  if found >= usual / 2:
    return ()
  letters = np.concatenate([np.frombuffer(sample, np.uint8) for sample in told])
  counts = np.bincount(letters, minlength=256)
  byte, share = bytes([int(counts.argmax())]), counts.max() / counts.sum()
  words = f"; {share:.0%} of it is {_shown(byte)}" if share > 0.5 else ""
  return (
    f"collapse: the samples repeat themselves: they compress to {found:.0%} of their "
    f"size (held-out text of the same lengths: to {usual:.0%}){words}",
  )


def _compressed_share(texts: Sequence[bytes]) -> float:
  return sum(len(zlib.compress(text, 9)) for text in texts) / sum(map(len, texts))


def warn_of_copies(samples: Sequence[bytes], corpus: Corpus) -> tuple[str, ...]:
  """Says so where a sample has a long piece of the training text, letter for letter."""
  copy = longest_copy(samples, corpus.train)
  if len(copy) < LEAST_COPY:
    return ()
  usual = len(longest_copy([corpus.test], corpus.train))
  if len(copy) <= usual:
    return ()
  return (
    f"copying: {len(copy)} bytes in a row of a sample are in the training text (of all "
    f"held-out text, {usual} at most): {_shown(copy[:60])}...",
  )


def held_out_like(texts: Sequence[bytes], corpus: Corpus) -> list[bytes]:
  """Pieces of the held-out text of the same lengths, from all over it."""
  test = corpus.test
  starts = np.linspace(0, len(test), len(texts), endpoint=False).astype(int)
  return [
    test[max(min(start, len(test) - len(text)), 0) :][: len(text)]
    for start, text in zip(starts.tolist(), texts, strict=True)
  ]


def _shown(text: bytes) -> str:
  return repr(text.decode("utf-8", errors="replace"))
