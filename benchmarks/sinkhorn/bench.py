"""The problems of the benchmark, one table each."""

import pathlib
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.sinkhorn.contest import Contest
from benchmarks.sinkhorn.tables import contest_table, huge_table, small_epsilon_table

MARGINALS, GRADIENT = "marginal error", "relative error"


class Sizes(NamedTuple):
  """How much of it."""

  solve: tuple[int, ...] = (256, 1024, 4096)
  large: int | None = 16384  # a few fixed iterations only
  dims: tuple[int, ...] = (2, 64)
  iterations: int = 100
  gradient: tuple[int, ...] = (1024, 4096)
  epsilons: tuple[float, ...] = (1.0, 1e-1, 1e-2, 3e-3, 1e-3)
  huge: int = 100_000  # three iterations, in the memory of n + m


FULL = Sizes()
QUICK = Sizes((128, 256), 512, (2,), 10, (128,), (1.0, 1e-2), 30_000)
STOP = {"scale": 0.05, "iterations": None, "tolerance": 1e-3, "max_iterations": 2000}
Put = Callable[[str, dict[str, Any], Table], None]


def iterations(contest: Contest, sizes: Sizes, put: Put) -> None:
  """A fixed number of iterations: 100, and 10 at the largest size."""
  cells = [(n, sizes.iterations) for n in sizes.solve]
  cells += [(sizes.large, max(sizes.iterations // 10, 1))] if sizes.large else []
  for d in sizes.dims:
    for n, k in cells:
      workload = {**STOP, "task": "solve", "iterations": k}
      results = contest.run(contest.names("solve"), n=n, d=d, **workload)
      title = f"{k} iterations, n = m = {n}, d = {d}"
      put(f"iterations/{n}/{d}", results, contest_table(title, results, MARGINALS))


def tolerance(contest: Contest, sizes: Sizes, put: Put) -> None:
  """Until the marginal error is 1e-3, each by its own means."""
  for d in sizes.dims:
    for n in sizes.solve:
      results = contest.run(contest.names("solve"), n=n, d=d, task="solve", **STOP)
      title = f"to an L1 marginal error of {STOP['tolerance']}, n = m = {n}, d = {d}"
      put(f"tolerance/{n}/{d}", results, contest_table(title, results, MARGINALS))


def gradient(contest: Contest, sizes: Sizes, put: Put) -> None:
  """The gradient of the divergence, to the same error of the marginals."""
  for d in sizes.dims:
    for n in sizes.gradient:
      names = contest.names("gradient")
      results = contest.run(names, n=n, d=d, task="gradient", **STOP)
      title = f"gradient of the Sinkhorn divergence, n = m = {n}, d = {d}"
      put(f"gradient/{n}/{d}", results, contest_table(title, results, GRADIENT))


def small_epsilon(contest: Contest, sizes: Sizes, put: Put) -> None:
  """What is reached in 2,000 iterations as epsilon goes to 0, beside ott-jax."""
  who = ("jgm, kernel", "jgm, online", "ott-jax, dense", "ott-jax, tuned")
  names = [name for name in contest.names("solve", "small") if name in who]
  cells = {}
  for scale in sizes.epsilons:
    stop = {**STOP, "scale": scale, "tolerance": 1e-4 if scale >= 1e-2 else 1e-3}
    cells[scale] = contest.run(names, n=256, d=2, task="solve", **stop)
  title = (
    "n = m = 256, d = 2, to 1e-4 (1e-3 below epsilon 1e-2), at most 2000 iterations"
  )
  put("small_epsilon", cells, small_epsilon_table(title, cells))


def huge(contest: Contest, sizes: Sizes, put: Put) -> None:
  """Three iterations at 100,000 points, which no n x m matrix fits."""
  names = [
    name
    for name in contest.names("solve")
    if name in ("jgm, online", "ott-jax, online")
  ]
  n, k = sizes.huge, 3
  workload = {**STOP, "task": "solve", "iterations": k}
  results = contest.run(names, n=n, d=2, **workload)
  put("huge", results, huge_table(f"{k} iterations, n = m = {n}, d = 2", results, k))


TABLES = {f.__name__: f for f in (iterations, tolerance, gradient, small_epsilon)}
WORKLOADS = tuple(TABLES)
PEERS = ("ott", "pot", "geomloss")


def run(
  names: list[str],
  sizes: Sizes,
  console: Console,
  keep: Callable[[str, Any], None],
  **options: Any,
) -> None:
  """Measures tables, prints them, and hands over each problem's results.

  Args:
    names: of `TABLES`, or "huge".
    sizes: how much.
    console: where the tables go.
    keep: (key, results), after each problem.
    **options: of `Contest`: rounds, limit, prefix.
  """

  def put(key: str, results: dict[str, Any], table: Table) -> None:
    keep(key, results)
    console.print(table)

  with tempfile.TemporaryDirectory() as folder:
    contest = Contest(pathlib.Path(folder), **options)
    for name in names:
      {**TABLES, "huge": huge}[name](contest, sizes, put)


def bench(name: str, rounds: int, console: Console) -> dict[str, Any]:
  """One table, as `python -m benchmarks` asks for it: at most three rounds."""
  report: dict[str, Any] = {}
  run([name], FULL, console, report.__setitem__, rounds=min(rounds, 3), limit=60.0)
  return report
