"""What models without a network reach: bits per byte of held-out text."""

import functools
import gzip
import lzma
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jgm.core.experiment import Dataset, Scalar
from jgm.core.state import Array, TrainState
from jgm.data.text_spec import TextSpec
from jgm.eval.text_measures import UNIFORM_BITS

ORDER = 5  # bytes of context of the n-gram model
MAX_ORDER = 6  # with the byte itself, what fits into 64 bits

Codes = NDArray[np.uint64]


def make_text_baselines(
  data: Dataset,
) -> Callable[[TrainState, Array], dict[str, Scalar]]:
  """The numbers that bits per byte of a text model stand beside.

  All have seen the training text, and are of every byte of the held-out text but its
  first, which marks its beginning. They are computed at the first call, in seconds, and
  kept: neither the state nor the key is looked at.

  Args:
    data: a text. Building this reads none of it.

  Returns:
    (state, key) -> {name: Scalar}: two programs that compress, and an n-gram model.
  """

  @functools.cache
  def baselines() -> dict[str, Scalar]:
    spec: TextSpec = data.spec
    corpus = spec.corpus()
    train, test = corpus.train, corpus.test[1:]
    log_mass = n_gram_log_mass(train, test)
    size = f"of {len(test):,} held-out bytes"
    further = "the size of both texts in one less that of the training text, " + size
    return {
      "bits_per_byte_of_gzip": _scalar(
        compressed_bits_per_byte(train, test, lambda x: gzip.compress(x, 9)),
        f"gzip -9, which looks back 32 KiB: {further}",
      ),
      "bits_per_byte_of_xz": _scalar(
        compressed_bits_per_byte(train, test, lambda x: lzma.compress(x, preset=9)),
        f"xz -9, which looks back on all: {further}",
      ),
      "bits_per_byte_of_single_bytes": _scalar(
        -np.mean(n_gram_log_mass(train, test, order=0)) / np.log(2),
        f"the training text's frequencies of bytes, without context, {size}",
      ),
      f"bits_per_byte_of_{ORDER}_byte_contexts": _scalar(
        -np.mean(log_mass) / np.log(2),
        f"counts after the last {ORDER} bytes and fewer, by Kneser and Ney's rule, "
        + size,
      ),
    }

  return lambda state, key: baselines()


def _scalar(bits: float, note: str) -> Scalar:
  return Scalar(float(bits), None, UNIFORM_BITS, "lower", note)


def compressed_bits_per_byte(
  train: bytes, test: bytes, compress: Callable[[bytes], bytes]
) -> float:
  """What held-out text adds to the size of the training text, in bits per byte of it.

  Args:
    train: the training text, which the program has seen.
    test: the held-out text, not empty.
    compress: text -> its compressed form.

  Returns:
    8 (|compress(train + test)| - |compress(train)|) / |test|.
  """
  return 8 * (len(compress(train + test)) - len(compress(train))) / len(test)


def n_gram_log_mass(
  train: bytes, test: bytes, *, order: int = ORDER
) -> NDArray[np.float64]:
  """The log-likelihood of each byte after the few before it, from counts.

  Interpolated Kneser–Ney smoothing with three discounts, which the counts themselves
  determine: nothing is tuned. With c(h x) the count of byte x after the context h,

    p(x | h) = max(c(h x) - d(c(h x)), 0) / c(h) + g(h) p(x | shorter h)

  where g(h) makes it sum to 1. In all contexts but the longest, c counts in how many
  ways h x is preceded. Below the empty context all 256 bytes are equally likely.

  Args:
    train: what is counted.
    test: what is scored, beginning without any context.
    order: how long contexts are, at most; 0 .. 6.

  Returns:
    [len(test)] float64, in nats. Property: over the 256 bytes that may come next, the
    masses sum to 1.

  Raises:
    ValueError: for an order that does not fit into 64 bits.

  Reference: Chen and Goodman (1999), "An empirical study of smoothing techniques for
    language modeling", section 3: the modified rule, with the discounts of eq. 17.
  """
  if not 0 <= order <= MAX_ORDER:
    raise ValueError(f"order is {order}: it is 0 .. {MAX_ORDER}")
  mass = np.full(len(test), 1 / 256)
  for length in range(min(order, len(test) - 1, len(train) - 1) + 1):
    grams, counts = _count(train, length, ways=length < order)
    mass[length:] = _interpolate(grams, counts, codes(test, length), mass[length:])
  return np.log(mass)


def codes(text: bytes, length: int) -> Codes:
  """Each byte and the `length` bytes before it as one number: [N - length]."""
  values = np.frombuffer(text, np.uint8).astype(np.uint64)
  number = np.zeros(len(text) - length, np.uint64)
  for i in range(length + 1):
    number = number << np.uint64(8) | values[i : i + len(number)]
  return number


def _count(text: bytes, length: int, *, ways: bool) -> tuple[Codes, NDArray[np.int64]]:
  """The different codes of a text, and how often each is there, or in how many ways."""
  if not ways:
    return np.unique(codes(text, length), return_counts=True)
  if len(text) <= length + 1:
    return np.zeros(0, np.uint64), np.zeros(0, np.int64)
  longer = np.unique(codes(text, length + 1))
  ends = longer & np.uint64(2 ** (8 * (length + 1)) - 1)
  return np.unique(ends, return_counts=True)


def _interpolate(
  grams: Codes,
  counts: NDArray[np.int64],
  scored: Codes,
  shorter: NDArray[np.float64],
) -> NDArray[np.float64]:
  """p(x | h) of `scored` codes [M], from p(x | shorter h) [M]."""
  discount = discounts(counts)[np.minimum(counts, 3)]
  contexts, which = np.unique(grams >> np.uint64(8), return_inverse=True)
  total, taken = np.bincount(which, counts), np.bincount(which, discount)
  here = scored >> np.uint64(8)
  n = _look_up(contexts, total, here)
  kept = _look_up(grams, counts - discount, scored)
  share = _look_up(contexts, taken, here)
  return np.where(n > 0, (kept + share * shorter) / np.maximum(n, 1), shorter)


def discounts(counts: NDArray[np.int64]) -> NDArray[np.float64]:
  """What is taken of counts 0, 1, 2, and 3 or more: [4], of k at most k.

  Where a text is so small that a count of counts is zero, the discount is 1/2.
  """
  n = [float(np.sum(counts == k)) for k in range(5)]
  if min(n[1:]) == 0:
    return np.array([0, 0.5, 0.5, 0.5])
  y = n[1] / (n[1] + 2 * n[2])
  found = [k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3)]
  return np.clip([0, *found], 0, [0, 1, 2, 3])


def _look_up(keys: Codes, values: NDArray[Any], wanted: Codes) -> NDArray[np.float64]:
  """The values [M] of wanted keys, 0 for those that are not there; keys are sorted."""
  if not len(keys):
    return np.zeros(len(wanted))
  places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
  return np.where(keys[places] == wanted, values[places], 0.0)
