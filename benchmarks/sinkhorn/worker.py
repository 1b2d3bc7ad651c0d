"""What the four workers share: a solver that is timed, and its answer for the judge.

It runs in each peer's environment, so only NumPy and the standard library.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.worker import Contestant, serve

Arrays = Mapping[str, np.ndarray]


class Solver(NamedTuple):
  """One library's solver on one problem."""

  solve: Callable[[], Any]  # the timed work, waited for
  # of what solve returned: {"f", "g"} in jgm's convention or {"gradient"}, and facts
  answer: Callable[[Any], tuple[Arrays, dict[str, Any]]]
  versions: Mapping[str, str]
  compile_seconds: float | None = None


MakeSolver = Callable[[dict[str, Any], np.ndarray, np.ndarray], Solver]


def serve_solver(make: MakeSolver) -> None:
  """Serves the solver of the command line's workload.

  Args:
    make: (workload, x, y) -> Solver. The workload has "task" ("solve" or "gradient"),
      "how" (the contestant's own options), "epsilon", "iterations" (a fixed number, or
      None: until "tolerance", at most "max_iterations"), and the files "points" and
      "output".
  """

  def make_contestant(workload: dict[str, Any]) -> Contestant:
    with np.load(workload["points"]) as file:
      solver = make(workload, file["x"], file["y"])
    outputs: Any = None

    def run(units: int) -> None:
      nonlocal outputs
      for _ in range(units):
        outputs = None  # two at once would count twice as memory
        outputs = solver.solve()

    def report() -> dict[str, Any]:
      nonlocal outputs
      arrays, facts = solver.answer(outputs)
      outputs = None
      np.savez(workload["output"], **arrays)
      return json.loads(json.dumps(facts, default=_plain))

    facts = {
      "versions": dict(solver.versions),
      "compile_seconds": solver.compile_seconds,
    }
    return Contestant(run, facts, report)

  serve(make_contestant, warm_up_runs=1)


def _plain(value: Any) -> Any:
  """A number that JSON knows."""
  return np.asarray(value).item()
