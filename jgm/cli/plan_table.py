"""A plan, as a table at the terminal."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from jgm.cli.console import format_time, wide_console
from jgm.plan import Plan
from jgm.plan.roofline import Estimate


def print_plan(plan: Plan) -> None:
  """Prints a plan as a table."""
  console = wide_console()
  table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
  for name, value in _rows(plan):
    table.add_row(Text(name), Text(value))
  console.print()
  console.print(table)
  for note in _notes(plan):
    console.print(Text(note, style="dim"), soft_wrap=True)
  console.print()


def _rows(plan: Plan) -> Iterator[tuple[str, str]]:
  yield "topology", f"{plan.topology}, {plan.num_devices} devices"
  yield "parameters", f"{plan.parameters:,}"
  if plan.batch_size:
    of_one = plan.batch_size // plan.batch_devices
    yield "batch", f"{plan.batch_size}, {of_one} a device"
  yield from _memory_rows(plan)
  yield "operations", f"{plan.work.flops:.3g} flops a device and step"
  yield "memory traffic", f"{_show_bytes(plan.work.num_bytes)} a device and step"
  for (kind, size), num_bytes in sorted(plan.work.collectives.items()):
    yield kind, f"{_show_bytes(num_bytes)} a step, among {size} devices"
  if plan.estimate is not None:
    yield from _estimate_rows(plan, plan.estimate)


def _memory_rows(plan: Plan) -> Iterator[tuple[str, str]]:
  memory, limit = plan.memory, plan.memory_limit
  yield "arguments", f"{_show_bytes(memory.arguments)} a device"
  yield "temporaries", f"{_show_bytes(memory.temporaries)} a device"
  total = f"{_show_bytes(memory.total)} a device"
  if limit is None:
    yield "memory in all", total
    return
  fits = "fits" if plan.fits else "DOES NOT FIT"
  yield "memory in all", f"{total}, of {_show_bytes(limit)}: {fits}"


def _estimate_rows(plan: Plan, estimate: Estimate) -> Iterator[tuple[str, str]]:
  yield (
    "a step",
    f"at least {_show_seconds(estimate.seconds_per_step)}, by {estimate.bound} "
    f"(compute {_show_seconds(estimate.compute_seconds)}, "
    f"HBM {_show_seconds(estimate.memory_seconds)}, "
    f"interconnect {_show_seconds(estimate.interconnect_seconds)})",
  )
  yield "MFU", f"at most {estimate.mfu:.1%}"
  steps = f"{plan.total_steps:,} steps"
  yield "the run", f"at least {format_time(estimate.hours * 3600)} for {steps}"
  yield "chip hours", f"at least {estimate.hours * plan.num_devices:.3g}"
  if estimate.cost is not None:
    yield "cost", f"at least {estimate.cost:,.2f}"


def _notes(plan: Plan) -> Iterator[str]:
  if plan.estimate is not None:
    yield (
      "A roofline: the step's operations, bytes and collectives, all at once, each at "
      "the chip's published peak. A real run takes longer, and evaluates and saves."
    )
  else:
    yield "No peaks are published for this device: there is no estimate of the time."
  if plan.unknown_loops:
    yield (
      f"{plan.unknown_loops} loops inside a step end by a value, not by a number of "
      "trips: each is counted once."
    )
  if plan.uncounted_calls:
    yield "Not counted, the compiler's own: " + ", ".join(plan.uncounted_calls)


def _show_bytes(num_bytes: float) -> str:
  for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
    if num_bytes >= size:
      return f"{num_bytes / size:.2f} {unit}"
  return f"{num_bytes:.0f} B"


def _show_seconds(seconds: float) -> str:
  for unit, size in (("s", 1.0), ("ms", 1e-3)):
    if seconds >= size:
      return f"{seconds / size:.3g} {unit}"
  return f"{seconds * 1e6:.3g} µs"
