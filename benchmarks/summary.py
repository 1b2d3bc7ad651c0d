"""All results in one table: jgm beside the best peer and beside the machine."""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rich.table import Table

from benchmarks.contest import Results, by_round, left_out, ran

TITLES = {
  "ddpm_step": "DDPM step",
  "ddim": "50 DDIM steps",
  "dcgan_step": "DCGAN step",
  "gpt_step": "GPT step",
  "gpt_decode": "GPT, 128 tokens",
  "first_step": "first step",
  "seeds": "8 seeds",
  "sinkhorn": "Sinkhorn",
}
# Tables in which one who has not reached the tolerance has not done the work.
TO_A_TOLERANCE = ("tolerance", "small_epsilon")
OUT_OF_CACHE = 4096  # points, from which on the kernel is 64 MB and more


class Limit(NamedTuple):
  """What jgm does of what the machine can do."""

  share: float
  of: str  # "multiply": the float32 product's rate; "copy": the memory's


class Row(NamedTuple):
  """One workload: jgm's best way to do it, and the best of the peers'."""

  bench: str
  workload: str
  jgm: str
  peer: str  # "" where none took part
  ratios: tuple[float, ...]  # the peer's time over jgm's, by round: above 1, jgm leads
  limit: Limit | None
  reason: str = ""  # why there is no ratio, or who of the peers is missing

  @property
  def ratio(self) -> float:
    """The median over rounds."""
    return statistics.median(self.ratios)

  @property
  def title(self) -> str:
    """What is measured: "GPT step, docs"."""
    return f"{TITLES.get(self.bench, self.bench)}, {self.workload}"


def rows(report: Mapping[str, Any]) -> list[Row]:
  """The workloads of what `python -m benchmarks` or `benchmarks.sinkhorn` wrote.

  Args:
    report: {"machine": ..., bench: {workload: ...}}; of the latter, {problem: results}.

  Returns:
    One Row for each contest, in the order of the report.
  """
  machine = report["machine"]
  benches = {name: entry for name, entry in report.items() if name != "machine"}
  found = []
  for path, results, passes in contests(benches):
    bench = path[0] if path[0] in TITLES else "sinkhorn"
    found.append(_row(bench, _name(path), results, passes, machine))
  return found


def contests(
  tree: Mapping[str, Any], path: tuple[str, ...] = (), passes: float | None = None
) -> Iterator[tuple[tuple[str, ...], Results, float | None]]:
  """Each {contestant: result} of a report: (its path, it, forward passes of a unit)."""
  passes = tree.get("passes", passes)
  branches = {name: e for name, e in tree.items() if isinstance(e, Mapping)}
  if branches and all(
    {"wall", "left_out"} & entry.keys() for entry in branches.values()
  ):
    yield path, branches, passes
    return
  for name, entry in branches.items():
    yield from contests(entry, (*path, name), passes)


def _name(path: tuple[str, ...]) -> str:
  """The workload as it is printed, from its path in the report."""
  last = path[-1] if path[-1] != "results" else path[-2]
  if path[-2:-1] == ("small_epsilon",):
    return f"epsilon {last}"
  table, *sizes = last.split("/")
  if not sizes:
    return last.replace("_", ", ")
  n, d = sizes
  return f"{table} {n}, {d}-D"


def _row(
  bench: str,
  workload: str,
  results: Results,
  passes: float | None,
  machine: Mapping[str, Any],
) -> Row:
  there = ran(results)
  if workload.startswith("epsilon") or workload.split()[0] in TO_A_TOLERANCE:
    there = {name: r for name, r in there.items() if r["converged"]}
  there = {name: r for name, r in there.items() if r.get("finite", True)}
  peer = _fastest({n: r for n, r in there.items() if not n.startswith("jgm")})
  ours = {name: r for name, r in there.items() if name.startswith("jgm")}
  runs = there[peer]["runs"] if peer and "runs" in there[peer] else 1
  jgm = _fastest({name: r for name, r in ours.items() if r.get("runs", runs) == runs})
  reason = left_out(results) or ""
  if jgm is None:
    return Row(bench, workload, "", peer or "", (), None, reason or "jgm failed")
  limit = _limit(workload, jgm, there[jgm], passes, machine)
  if peer is None:
    reason = reason or "no peer, or none that got there"
    return Row(bench, workload, jgm, "", (), limit, reason)
  ratios = tuple(by_round(there[peer]["wall"], there[jgm]["wall"]))
  return Row(bench, workload, jgm, peer, ratios, limit, reason)


def _fastest(results: Results) -> str | None:
  """Who has the least median."""
  return min(
    results, key=lambda name: statistics.median(results[name]["wall"]), default=None
  )


def _limit(
  workload: str,
  name: str,
  result: Mapping[str, Any],
  passes: float | None,
  machine: Mapping[str, Any],
) -> Limit | None:
  """jgm's operations by those of a product, or its traffic by that of a copy.

  The traffic is the least that there can be: an iteration with the kernel kept reads it
  twice, and it is in no cache.
  """
  seconds = statistics.median(result["wall"])
  if passes is not None:
    done = passes * result["flops"] * result["runs"] / seconds / 1e9
    return Limit(done / machine["matmul_gflops"], "multiply")
  table, *sizes = workload.replace(",", "").split()
  if table == "iterations" and name == "jgm, kernel" and int(sizes[0]) >= OUT_OF_CACHE:
    read = result["iterations"] * 2 * 4 * int(sizes[0]) ** 2
    return Limit(read / seconds / 1e9 / machine["copy_gb_per_s"], "copy")
  return None


def table(found: list[Row], machine: Mapping[str, Any]) -> Table:
  """The rows, as they are printed at the end.

  Args:
    found: of `rows`.
    machine: of `benchmarks.machine.limits`.

  Returns:
    The table. "jgm / peer" above 1: jgm is so many times as fast.
  """
  out = Table(
    title=f"jgm's speed over the best peer's; {machine['processor']}, "
    f"{machine['threads']} threads",
    caption=f"multiply: {machine['matmul_gflops']:.0f} GFLOP/s, float32; "
    f"copy: {machine['copy_gb_per_s']:.1f} GB/s; *: who is missing is said below",
  )
  columns = ("workload", "jgm / peer", "min-max", "the peer", "jgm / the machine")
  for column in columns:
    numbers = column.startswith(("jgm", "min"))
    out.add_column(column, justify="right" if numbers else "left")
  for row in found:
    limit = f"{row.limit.share:.0%} of {row.limit.of}" if row.limit else "-"
    low_high = (min(row.ratios), max(row.ratios)) if row.ratios else ()
    out.add_row(
      row.title,
      f"{row.ratio:.2f}" if row.ratios else "-",
      "-".join(f"{ratio:.2f}" for ratio in low_high) or "-",
      (row.peer or "none") + " *" * bool(row.reason),
      limit,
    )
  return out
