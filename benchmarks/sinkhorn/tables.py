"""The results as tables."""

import statistics
from typing import Any

from rich.table import Table

from benchmarks.contest import Results, left_out, ran

JGM = ("jgm, kernel", "jgm, online")


def ratio(result: dict[str, Any], other: dict[str, Any] | None) -> str:
  """The median over rounds of this one's time over the other's."""
  if not other or "wall" not in other:
    return "-"
  pairs = zip(result["wall"], other["wall"], strict=True)
  return f"{statistics.median(a / b for a, b in pairs):.2f}"


def short(value: float) -> str:
  """Three digits, and no power of ten."""
  return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def contest_table(title: str, results: Results, error: str) -> Table:
  """Median times, what was reached, memory, and times over each mode of jgm's.

  Args:
    title: the table's.
    results: of `Contest.run`.
    error: what "error" is.

  Returns:
    The table. "/kernel" above 1: jgm's kernel mode is faster than this one.
  """
  out = Table(title=title, caption=left_out(results), caption_justify="left")
  columns = ("", "ms", "min-max", "iterations", error, "compile s", "MiB", "/kernel")
  for column in (*columns, "/online"):
    out.add_column(column, justify="right" if column else "left", no_wrap=not column)
  for name, result in ran(results).items():
    times = [1e3 * seconds for seconds in result["wall"]]
    compiling = result["compile_seconds"]
    out.add_row(
      name,
      short(statistics.median(times)),
      f"{short(min(times))}-{short(max(times))}",
      str(result.get("iterations", "")),
      f"{result['error']:.2g}",
      "-" if compiling is None else f"{compiling:.1f}",
      f"{max(result['peak_mib'] - result['idle_mib'], 0):.0f}",
      *(ratio(result, results.get(name)) for name in JGM),
    )
  return out


def small_epsilon_table(title: str, cells: dict[float, Results]) -> Table:
  """Iterations, the error reached, converged or not, and NaN, by epsilon.

  Args:
    title: the table's.
    cells: {epsilon over the mean cost: results}.

  Returns:
    The table.
  """
  out = Table(title=title)
  columns = (
    "epsilon / mean cost",
    "",
    "iterations",
    "marginal error",
    "says converged",
  )
  for column in (*columns, "NaN", "ms"):
    out.add_column(column, justify="right" if column else "left")
  for scale, results in cells.items():
    for name, result in results.items():
      if "left_out" in result:
        out.add_row(f"{scale:g}", name, result["left_out"])
        continue
      out.add_row(
        f"{scale:g}",
        name,
        str(result["iterations"]),
        f"{result['error']:.2g}",
        "yes" if result["converged"] else "no",
        "no" if result["finite"] else "yes",
        short(1e3 * statistics.median(result["wall"])),
      )
    out.add_section()
  return out


def huge_table(title: str, results: Results, iterations: int) -> Table:
  """Seconds per iteration, all of a solve's time over its iterations, and memory.

  Args:
    title: the table's.
    results: of `Contest.run`.
    iterations: of one solve.

  Returns:
    The table.
  """
  out = Table(title=title)
  for column in ("", "s per iteration", "MiB over idle", "MiB in all", "compile s"):
    out.add_column(column, justify="right" if column else "left")
  for name, result in results.items():
    if "left_out" in result:
      out.add_row(name, result["left_out"])
      continue
    out.add_row(
      name,
      f"{statistics.median(result['wall']) / iterations:.2f}",
      f"{result['peak_mib'] - result['idle_mib']:.0f}",
      f"{result['peak_mib']:.0f}",
      f"{result['compile_seconds']:.1f}",
    )
  return out
