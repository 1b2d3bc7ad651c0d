"""The least time of a step, by hand."""

import math

import pytest

from jgm.plan.chips import CHIPS
from jgm.plan.count import Collective, Work
from jgm.plan.roofline import estimate, sent_bytes

CHIP = CHIPS["v5e"]._replace(
  flops_per_second=100.0, memory_bandwidth=10.0, interconnect_bandwidth=1.0
)


def estimated(work, **options):
  return estimate(work, CHIP, num_chips=4, total_steps=7200, **options)


def test_the_slowest_of_three_bounds_the_step():
  assert estimated(Work(flops=200.0, num_bytes=10.0)).bound == "compute"
  assert estimated(Work(flops=200.0, num_bytes=30.0)).bound == "HBM"
  sent = {Collective("collective-permute", 4): 5.0}
  by_links = estimated(Work(200.0, 30.0, sent))
  assert by_links.bound == "interconnect" and by_links.seconds_per_step == 5.0
  assert by_links.mfu == pytest.approx(2 / 5)


def test_hours_and_cost_of_the_run():
  work = Work(flops=200.0)
  assert estimated(work).hours == 4.0 and estimated(work).cost is None
  assert estimated(work, price_per_chip_hour=1.5).cost == 4 * 4 * 1.5


def test_no_work_takes_no_time():
  assert estimated(Work()).seconds_per_step == 0 and estimated(Work()).mfu == 0


@pytest.mark.parametrize(
  ("kind", "sent"),
  [
    ("all-reduce", 2 * 70),
    *((kind, 70) for kind in ("all-gather", "reduce-scatter", "all-to-all")),
    *((f"collective-{kind}", 80) for kind in ("permute", "broadcast")),
  ],
)
def test_what_goes_round_a_ring(kind, sent):
  assert sent_bytes({Collective(kind, 8): 80.0}) == sent


@pytest.mark.parametrize("kind", ["all-reduce", "reduce-scatter", "all-to-all"])
def test_a_chip_alone_sends_nothing(kind):
  assert sent_bytes({Collective(kind, 1): 80.0}) == 0


@pytest.mark.parametrize("chip", CHIPS.values(), ids=lambda chip: chip.name)
def test_a_chip_is_a_power_of_ten_near_what_chips_are(chip):
  """A slip of a unit would be a factor of 8 or 1000."""
  assert 100 < chip.flops_per_second / chip.memory_bandwidth < 1000
  assert 3 < chip.memory_bandwidth / chip.interconnect_bandwidth < 6
  sizes = [math.prod(map(int, shape.split("x"))) for shape in chip.shapes]
  assert sizes == sorted(sizes) and len({s.count("x") for s in chip.shapes}) == 1
