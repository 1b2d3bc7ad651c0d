"""How long a step takes at least, from what it does and a chip's published peaks.

Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model
for multicore architectures".
"""

from collections.abc import Mapping
from typing import NamedTuple

from jgm.plan.chips import Chip
from jgm.plan.count import Collective, Work


class Estimate(NamedTuple):
  """The least time of a step, were all peaks reached, and what follows from it."""

  seconds_per_step: float  # the greatest of the next three
  compute_seconds: float
  memory_seconds: float
  interconnect_seconds: float
  bound: str  # "compute", "HBM" or "interconnect": which of them that is
  mfu: float  # the share of the peak operations that are made; at most 1
  hours: float  # of the whole run, without evaluations, compiling and saving
  cost: float | None  # of all chips for so long; None without a price


def estimate(
  work: Work,
  chip: Chip,
  *,
  num_chips: int,
  total_steps: int,
  price_per_chip_hour: float | None = None,
) -> Estimate:
  """The least time of a step: all three kinds of work at once, each at its peak.

  Args:
    work: of one chip, in one step.
    chip: its peaks.
    num_chips: how many there are.
    total_steps: steps of the whole run.
    price_per_chip_hour: in whatever currency.

  Returns:
    The Estimate. A real run is slower: matrices leave a part of a chip idle, and work
    of different kinds overlaps in part.
  """
  times = {
    "compute": work.flops / chip.flops_per_second,
    "HBM": work.num_bytes / chip.memory_bandwidth,
    "interconnect": sent_bytes(work.collectives) / chip.interconnect_bandwidth,
  }
  bound = max(times, key=times.__getitem__)
  seconds = times[bound]
  hours = seconds * total_steps / 3600
  price = price_per_chip_hour
  return Estimate(
    seconds_per_step=seconds,
    compute_seconds=times["compute"],
    memory_seconds=times["HBM"],
    interconnect_seconds=times["interconnect"],
    bound=bound,
    mfu=times["compute"] / seconds if seconds else 0.0,
    hours=hours,
    cost=None if price is None else hours * num_chips * price,
  )


def sent_bytes(collectives: Mapping[Collective, float]) -> float:
  """Bytes that a chip sends, where each collective goes round a ring of its group.

  An all-reduce of n chips sends 2 (n-1)/n of its operand: a reduce-scatter and an
  all-gather, of (n-1)/n each.
  """
  return sum(
    num_bytes * _share_sent(kind, group_size)
    for (kind, group_size), num_bytes in collectives.items()
  )


def _share_sent(kind: str, group_size: int) -> float:
  if kind in ("collective-permute", "collective-broadcast"):
    return 1.0
  share = (group_size - 1) / group_size
  return 2 * share if kind == "all-reduce" else share
