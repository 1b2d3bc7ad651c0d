"""The largest batch that fits, by a line through two that were compiled."""

from typing import NamedTuple


class Filled(NamedTuple):
  """What a batch size takes of one device."""

  batch_size: int
  num_bytes: int


def second_batch_size(first: Filled, limit: int, *, num_devices: int) -> int:
  """The batch size to compile next: twice the first if that fits for sure, else half.

  Args:
    first: what was compiled.
    limit: bytes of a device.
    num_devices: over which a batch is spread; each is to have a row at least.

  Returns:
    The batch size; twice the first too where half of it cannot be spread.
  """
  can_be_halved = first.batch_size % (2 * num_devices) == 0
  if can_be_halved and 2 * first.num_bytes > limit:
    return first.batch_size // 2
  return 2 * first.batch_size


def largest_batch(
  first: Filled, second: Filled, limit: int, *, num_devices: int
) -> int | None:
  """The largest batch that fits, where each row takes as much as the next.

  Args:
    first: of one batch size, B_1.
    second: of another, B_2.
    limit: bytes of a device, M.
    num_devices: over which a batch is spread: it is to be a multiple of it.

  Returns:
    B_1 + (M - m_1) (B_2 - B_1) / (m_2 - m_1), rounded down; 0 where not even one row
    fits on each device. None where rows take no memory. A compiler chooses anew for
    each size, so that it is about this many. Property: exact of fixed + per_row * B.
  """
  growth = second.num_bytes - first.num_bytes
  rows = second.batch_size - first.batch_size
  if growth * rows <= 0:
    return None
  most = first.batch_size + (limit - first.num_bytes) * rows // growth
  return max(most // num_devices * num_devices, 0)
