"""Contestants that take turns on one machine, and the table of what they took.

In each round every contestant takes its turn alone, so that what slows one round slows
all of it, and ratios are taken within a round. Compilation and warm-up come before.
"""

import contextlib
import statistics
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from benchmarks.worker import Worker

Contestants = Mapping[str, tuple[str, str, dict[str, Any]]]
Results = dict[str, dict[str, Any]]
TOLERANCE = 0.03  # of parameters and FLOPs between the sides
CLOCKS = ("wall", "processor")


def measure(contestants: Contestants, *, units: int, rounds: int) -> Results:
  """All contestants' facts and times.

  Args:
    contestants: {name: (interpreter, module, workload)}.
    units: of work in one turn: training steps, batches of samples.
    rounds: turns of each.

  Returns:
    {name: {..., "wall": [seconds per unit], "processor": likewise, "peak_mib": of the
    last turn, "idle_mib": before it}}.
  """
  results: Results = {}
  with contextlib.ExitStack() as stack:
    workers = {}
    for name, arguments in contestants.items():
      workers[name] = Worker(*arguments)
      stack.callback(workers[name].close)
      results[name] = {**workers[name].facts, "wall": [], "processor": []}
    assert_alike(results)
    for _ in range(rounds):
      for name, worker in workers.items():
        turn = worker.run(units)
        for clock in CLOCKS:
          results[name][clock].append(turn[clock] / units)
        results[name]["peak_mib"] = turn["peak_mib"]
        results[name]["idle_mib"] = turn["idle_mib"]
  return results


def assert_alike(results: Results) -> None:
  """All contestants have the same number of parameters and of FLOPs, nearly."""
  for what in ("parameters", "flops"):
    values = {name: result[what] for name, result in results.items()}
    if max(values.values()) > (1 + TOLERANCE) * min(values.values()):
      raise AssertionError(f"the contestants differ in {what}: {values}")


def table(
  title: str,
  results: Results,
  clock: str,
  *,
  unit: str,
  per_unit: float = 1.0,
  passes: float = 1.0,
  peer: str = "diffusers",
) -> Table:
  """Medians and spreads, and each contestant's time over the best peer's, by round.

  Args:
    title: the table's.
    results: of `measure`.
    clock: "wall" or "processor".
    unit: what is counted per second: "steps", "images".
    per_unit: how many of these one unit of work is.
    passes: forward passes' worth of FLOPs in one unit: a training step is 3.
    peer: what the names of the peers begin with.

  Returns:
    The table. "peer/this" above 1: faster than the better peer.
  """
  out = Table(title=f"{title}, {clock} time")
  for column in ("", f"{unit}/s", "ms", "min-max", "GFLOP/s", "peer/this", "MiB"):
    out.add_column(column, justify="left" if not column else "right")
  peers = [r[clock] for name, r in results.items() if name.startswith(peer)]
  best = min(peers, key=statistics.median)
  for name, result in results.items():
    times = [seconds / result["runs"] for seconds in result[clock]]
    median = statistics.median(times)
    ratio = statistics.median(p / t for p, t in zip(best, times, strict=True))
    out.add_row(
      name + (" (per seed)" if result["runs"] > 1 else ""),
      f"{per_unit / median:.2f}",
      f"{1e3 * median:.1f}",
      f"{1e3 * min(times):.1f}-{1e3 * max(times):.1f}",
      f"{passes * result['flops'] / median / 1e9:.0f}",
      f"{ratio:.2f}",
      f"{result['peak_mib']:.0f}",
    )
  return out
