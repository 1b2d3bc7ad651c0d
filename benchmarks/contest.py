"""Contestants that take turns on one machine, and the table of what they took.

In each round every contestant takes its turn alone, so that what slows one round slows
all of it, and ratios are taken within a round. Compilation and warm-up come before. A
peer that cannot take part stays in the results, with the reason.
"""

import contextlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from benchmarks.peer import python_of
from benchmarks.worker import Worker

# {name: (environment, module, workload)}; the environment as in `peer.python_of`
Contestants = Mapping[str, tuple[str, str, dict[str, Any]]]
Results = dict[str, dict[str, Any]]
TOLERANCE = 0.03  # of parameters and FLOPs between the sides
CLOCKS = ("wall", "processor")
ALIKE = ("parameters", "flops")


def pytorch_forms(name: str, module: str, workload: dict[str, Any]) -> Contestants:
  """A network of PyTorch's in each way to run it: eager and compiled, in both layouts.

  Args:
    name: of the plain one, with which the others' names begin.
    module: the worker, in the environment "peer"; it takes compiled and channels_last.
    workload: what all of them do.

  Returns:
    Four contestants.
  """
  return {
    name + ", compiled" * compiled + ", channels last" * channels_last: (
      "peer",
      module,
      {**workload, "compiled": compiled, "channels_last": channels_last},
    )
    for compiled in (False, True)
    for channels_last in (False, True)
  }


def measure(
  contestants: Contestants, *, units: int, rounds: int, alike: Sequence[str] = ALIKE
) -> Results:
  """All contestants' facts and times.

  Args:
    contestants: who takes part, by name.
    units: of work in one turn: training steps, batches of samples.
    rounds: turns of each.
    alike: the facts in which all must agree, nearly.

  Returns:
    {name: {..., "wall": [seconds per unit], "processor": likewise, "peak_mib": of the
    last turn, "idle_mib": before it}, or {"left_out": why}}: peers only.

  Raises:
    RuntimeError: if jgm itself fails.
    AssertionError: if the contestants are not alike.
  """
  results: Results = {}
  with contextlib.ExitStack() as stack:
    workers = {}
    for name, (environment, module, workload) in contestants.items():
      with leaving_out(name, results, environment):
        workers[name] = Worker(python_of(environment), module, workload)
        stack.callback(workers[name].close)
        results[name] = {**workers[name].facts, "wall": [], "processor": []}
    assert_alike(results, alike)
    for _ in range(rounds):
      for name in list(ran(results)):
        with leaving_out(name, results, contestants[name][0]):
          _take_turn(workers[name], units, results[name])
  return results


@contextlib.contextmanager
def leaving_out(name: str, results: Results, environment: str = ""):
  """Where a contestant fails, its result is the reason; jgm's own failure is raised."""
  try:
    yield
  except (RuntimeError, BrokenPipeError) as error:
    if environment == "jgm":
      raise
    results[name] = {"left_out": f"not run: {error}"}


def _take_turn(worker: Worker, units: int, result: dict[str, Any]) -> None:
  turn = worker.run(units)
  for clock in CLOCKS:
    result[clock].append(turn[clock] / units)
  result["peak_mib"], result["idle_mib"] = turn["peak_mib"], turn["idle_mib"]


def ran(results: Results) -> Results:
  """The results of those who took part."""
  return {name: result for name, result in results.items() if "left_out" not in result}


def left_out(results: Results) -> str | None:
  """Who is not in a table, and why: a line each."""
  reasons = {name: r["left_out"] for name, r in results.items() if "left_out" in r}
  return "\n".join(f"{name}: {why}" for name, why in reasons.items()) or None


def rises(results: Results) -> dict[str, int]:
  """MiB at the peak of each one's last turn, above those before it."""
  return {n: round(r["peak_mib"] - r["idle_mib"]) for n, r in ran(results).items()}


def assert_alike(results: Results, facts: Sequence[str] = ALIKE) -> None:
  """All contestants have the same number of parameters and of FLOPs, nearly."""
  for what in facts:
    values = {name: result[what] for name, result in ran(results).items()}
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
  out = Table(title=title + f", {clock} time", caption=left_out(results))
  for column in ("", f"{unit}/s", "ms", "min-max", "GFLOP/s", "peer/this", "MiB"):
    out.add_column(column, justify="left" if not column else "right")
  there = ran(results)
  peers = [r[clock] for name, r in there.items() if name.startswith(peer)]
  best = min(peers, key=statistics.median, default=None)
  for name, result in there.items():
    times = [seconds / result["runs"] for seconds in result[clock]]
    median = statistics.median(times)
    out.add_row(
      name + (" (per seed)" if result["runs"] > 1 else ""),
      f"{per_unit / median:.2f}",
      f"{1e3 * median:.1f}",
      f"{1e3 * min(times):.1f}-{1e3 * max(times):.1f}",
      f"{passes * result['flops'] / median / 1e9:.0f}",
      f"{statistics.median(by_round(best, times)):.2f}" if best else "-",
      f"{result['peak_mib']:.0f}",
    )
  return out


def by_round(times: Sequence[float], over: Sequence[float]) -> list[float]:
  """The ratio of two contestants' times in each round."""
  return [a / b for a, b in zip(times, over, strict=True)]
