"""How well the tokens of a text are predicted: bits per byte, and where."""

import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jgm.core.experiment import Scalar

UNIFORM_BITS = 8.0  # of a model that takes each byte to be as likely as any other


class Predicted(NamedTuple):
  """What a model makes of windows of a text."""

  tokens: NDArray[np.int32]  # [W, T], the targets
  bits: NDArray[np.float64]  # [W, T], of surprise
  num_bytes: NDArray[np.int32]  # [W, T], what each target stands for
  mask: NDArray[np.bool_]  # [W, T], the targets that count


def bits_per_byte(bits: NDArray, num_bytes: NDArray) -> tuple[float, float]:
  """The bits of all windows over their bytes, and the standard error of it.

  Args:
    bits: [W] float, the bits of each window.
    num_bytes: [W], its bytes, some of them.

  Returns:
    (sum(bits) / sum(num_bytes), its standard error where windows are independent).
  """
  total = float(np.sum(num_bytes))
  ratio = float(np.sum(bits)) / total
  rest = np.asarray(bits - ratio * num_bytes, np.float64)
  return ratio, float(np.sqrt(np.sum(rest**2))) / total


def bits_scalar(predicted: Predicted, of: str) -> Scalar:
  """The bits per byte of the targets that count; the ceiling is a uniform model.

  Args:
    predicted: of windows in which each byte counts at most once.
    of: which bytes these are: "held-out".

  Returns:
    A Scalar, whose note has the number of bytes.
  """
  masked = [predicted.mask * each for each in (predicted.bits, predicted.num_bytes)]
  ratio, error = bits_per_byte(*(each.sum(axis=1) for each in masked))
  count = int(masked[1].sum())
  note = f"exact; {count:,} {of} bytes, standard error {error:.2g}"
  return Scalar(ratio, None, UNIFORM_BITS, "lower", note)


def bits_by_context(predicted: Predicted) -> tuple[NDArray, NDArray, NDArray]:
  """Bits per byte after so many tokens of context, from 1 to T.

  Args:
    predicted: every target of its windows is taken, whether it counts or not.

  Returns:
    (context [K], bits per byte [K], standard error [K]): 1, 2, 4, ... tokens of context
    and up to less than twice as many; what is left at the end joins those before it.
  """
  length = predicted.bits.shape[1]
  starts = context_groups(length)
  found = []
  for start, end in itertools.pairwise([*starts, length + 1]):
    place = slice(start - 1, end - 1)  # target 0 has one token before it
    parts = (predicted.bits[:, place], predicted.num_bytes[:, place])
    found.append(bits_per_byte(*(part.sum(axis=1) for part in parts)))
  ratios, errors = np.array(found).T
  return np.array(starts), ratios, errors


def context_groups(length: int) -> list[int]:
  """Where groups of contexts 1 .. T begin: at powers of 2, the last half full."""
  starts = [2**k for k in range(length.bit_length())]
  is_thin = len(starts) > 1 and 2 * (length - starts[-1] + 1) < starts[-1]
  return starts[:-1] if is_thin else starts


def to_bits(nats: NDArray) -> NDArray[np.float64]:
  """The surprise in bits of log-likelihoods in nats."""
  return -np.asarray(nats, np.float64) / math.log(2)
