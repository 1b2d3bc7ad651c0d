"""Chips: what their makers publish of them, and in which shapes they are lent.

From the pages "TPU v4", "TPU v5e", "TPU v5p" and "TPU v6e" of the Cloud TPU
documentation (https://cloud.google.com/tpu/docs/system-architecture-tpu-vm). A GB there
is taken for 10^9 bytes, which errs to the safe side; the interconnect is what a chip
sends over all its links at once, in gigabits a second.
"""

from typing import NamedTuple

GB = 10**9
GIB = 2**30


class Chip(NamedTuple):
  """One kind of chip, and its published peaks."""

  name: str
  flops_per_second: float  # bfloat16
  memory: int  # bytes of HBM
  memory_bandwidth: float  # bytes a second
  interconnect_bandwidth: float  # bytes a second, sent, all links together
  shapes: tuple[str, ...]  # of the topologies that there are
  source: str


_FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_CUBES = (
  *("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8"),
  *("8x8x16", "8x16x16"),
)
_DOCUMENTATION = "cloud.google.com/tpu/docs/"

CHIPS = {
  chip.name: chip
  for chip in (
    Chip(
      name="v4",
      flops_per_second=275e12,
      memory=32 * GIB,
      memory_bandwidth=1200e9,
      interconnect_bandwidth=2400e9 / 8,
      shapes=_CUBES,
      source=_DOCUMENTATION + "v4",
    ),
    Chip(
      name="v5e",
      flops_per_second=197e12,
      memory=16 * GB,
      memory_bandwidth=819e9,
      interconnect_bandwidth=1600e9 / 8,
      shapes=_FLAT,
      source=_DOCUMENTATION + "v5e",
    ),
    Chip(
      name="v5p",
      flops_per_second=459e12,
      memory=95 * GB,
      memory_bandwidth=2765e9,
      interconnect_bandwidth=4800e9 / 8,
      shapes=_CUBES,
      source=_DOCUMENTATION + "v5p",
    ),
    Chip(
      name="v6e",
      flops_per_second=918e12,
      memory=32 * GB,
      memory_bandwidth=1600e9,
      interconnect_bandwidth=3200e9 / 8,
      shapes=_FLAT,
      source=_DOCUMENTATION + "v6e",
    ),
  )
}
