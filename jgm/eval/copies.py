"""The longest piece that two texts have in common, in time about linear in both."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BASE = 0x9E3779B97F4A7C15  # odd, and without a pattern


def longest_copy(texts: Sequence[bytes], source: bytes) -> bytes:
  """The longest piece of any of the texts that is in `source`, letter for letter.

  A piece of w bytes has one of w - 1: so the length is found by bisection.

  Args:
    texts: what is looked through.
    source: where it may come from.

  Returns:
    The piece, one of several as long; b"" where there is none. Property: what trying
    all pieces finds.
  """
  found, low, high = b"", 0, max(map(len, texts), default=0)
  while low < high:
    width = (low + high + 1) // 2
    piece = _shared(texts, source, width)
    if piece:
      found, low = piece, width
    else:
      high = width - 1
  return found


def _shared(texts: Sequence[bytes], source: bytes, width: int) -> bytes:
  """A piece of so many bytes that is in a text and in the source, or b""."""
  known = np.append(np.sort(window_hashes(source, width)), np.uint64(0))
  for text in texts:
    hashes = window_hashes(text, width)
    nearest = known[np.searchsorted(known[:-1], hashes)]
    for place in np.flatnonzero(nearest == hashes):
      piece = text[place : place + width]
      if piece in source:  # and not merely of the same hash
        return piece
  return b""


def window_hashes(text: bytes, width: int) -> NDArray[np.uint64]:
  """A number for each window of `width` bytes: the same for the same bytes.

  The hash of two windows side by side is hash(left) BASE^|right| + hash(right), so that
  windows of 1, 2, 4, ... bytes give those of any width.

  Args:
    text: N bytes.
    width: 1 or more.

  Returns:
    [N - width + 1] uint64; [0] where the text is shorter.
  """
  bits = np.frombuffer(text, np.uint8).astype(np.uint64)
  # bytes that differ little are to give numbers that differ much
  doubled, size = (bits + np.uint64(1)) * np.uint64(BASE) ^ bits << np.uint64(29), 1
  whole, length = np.zeros(len(text) + 1, np.uint64), 0
  while size <= width:
    if width & size:
      whole, length = _beside(whole, length, doubled, size), length + size
    doubled, size = _beside(doubled, size, doubled, size), 2 * size
  return whole


def _beside(
  left: NDArray[np.uint64], length: int, right: NDArray[np.uint64], size: int
) -> NDArray[np.uint64]:
  """Of windows of `length` bytes, each followed by one of `size`: their hashes."""
  count = max(0, len(right) - length)
  return left[:count] * np.uint64(pow(BASE, size, 2**64)) + right[length:]
