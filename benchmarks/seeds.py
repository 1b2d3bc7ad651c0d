"""Eight seeds in one program, beside eight runs one after another in one process.

The same experiment, steps and batches; compilation is left out. Where one network keeps
a CPU busy, the program takes each step of its seeds in turn: `jgm/core/jit_program.py`.
"""

import statistics
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contest import Contestants, Results, by_round, measure

NUM_SEEDS = 8
PEERS = ()
# name: the experiment, whose default is trained, and the steps of each seed in one turn
WORKLOADS = {
  "ddpm": {"experiment": "ddpm", "steps": 5},
  "cartpole": {"experiment": "cartpole", "steps": 10},
  "gan": {"experiment": "gan", "steps": 100},
}
TOGETHER = "jgm, 8 seeds in one program"
APART = "8 runs, one after another"


def contestants(workload: dict[str, Any]) -> Contestants:
  """Both ways to the same eight runs."""
  worker = lambda **how: ("jgm", "benchmarks.seeds_worker", {**workload, **how})
  return {
    TOGETHER: worker(num_seeds=NUM_SEEDS, seeds=[0]),
    APART: worker(num_seeds=1, seeds=list(range(NUM_SEEDS))),
  }


def bench(name: str, rounds: int, console: Console) -> dict[str, Any]:
  """Measures one workload, prints it, and returns what is written down."""
  workload = WORKLOADS[name]
  results = measure(
    contestants(workload), units=workload["steps"], rounds=rounds, alike=("parameters",)
  )
  console.print(table(f"{NUM_SEEDS} seeds of {name}", results))
  return {"results": results}


def table(title: str, results: Results) -> Table:
  """Medians of one seed's step, and the one-after-another time over each, by round.

  Args:
    title: the table's.
    results: of `measure`: seconds of a step of all seeds.

  Returns:
    The table. "ratio" above 1: in one program they are done sooner.
  """
  out = Table(title=title, caption="milliseconds of one seed and step")
  for column in ("", "its steps", "wall", "min-max", "processor", "MiB", "ratio"):
    out.add_column(column, justify="left" if not column else "right")
  apart = results[APART]["wall"]
  for name, result in results.items():
    wall, processor = (
      [1e3 * seconds / result["runs"] for seconds in result[clock]]
      for clock in ("wall", "processor")
    )
    out.add_row(
      name,
      result["how"],
      f"{statistics.median(wall):.3g}",
      f"{min(wall):.3g}-{max(wall):.3g}",
      f"{statistics.median(processor):.3g}",
      f"{result['peak_mib']:.0f}",
      f"{statistics.median(by_round(apart, result['wall'])):.2f}",
    )
  return out
