"""The contestants, and their turns at one problem.

In each round every contestant works alone, once; ratios are taken within a round. One
that would take too long is left out, and the table says why.
"""

import contextlib
import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.contest import leaving_out, ran
from benchmarks.peer import python_of
from benchmarks.sinkhorn import problem
from benchmarks.worker import Worker

Results = dict[str, dict[str, Any]]
CALLS = 1000  # points from which on the work grows as n^2; below, the calls cost most
JUDGED = 20_000  # points at most whose plan is looked at in float64


class Entrant(NamedTuple):
  """A contestant as it is entered."""

  library: str  # whose environment and worker
  how: dict[str, Any]
  tasks: tuple[str, ...] = ("solve", "gradient")


ENTRANTS = {
  "jgm, kernel": Entrant("jgm", {"mode": "kernel"}),
  "jgm, online": Entrant("jgm", {"mode": "online"}),
  "ott-jax, dense": Entrant("ott", {}),
  "ott-jax, scalings": Entrant("ott", {"lse_mode": False}, ("solve",)),
  "ott-jax, online": Entrant("ott", {"batch_size": 32}),
  "POT, log": Entrant("pot", {"method": "sinkhorn_log"}, ("solve",)),
  "POT, stabilized": Entrant("pot", {"method": "sinkhorn_stabilized"}, ("solve",)),
  "POT, plain": Entrant("pot", {"method": "sinkhorn"}, ("solve",)),
  "geomloss, tensorized": Entrant("geomloss", {"backend": "tensorized"}),
  "geomloss, online": Entrant("geomloss", {"backend": "online"}),
  "ott-jax, tuned": Entrant("ott", {"tuned": True}, ("small",)),
}


class Contest:
  """Problems one after the other; it remembers how long each contestant took."""

  def __init__(self, folder: pathlib.Path, rounds: int, limit: float, prefix: str = ""):
    self._folder, self._rounds, self._limit = folder, rounds, limit
    self._names = [n for n in ENTRANTS if n.startswith(tuple(prefix.split(",")))]
    self._times: dict[tuple, tuple[int, float]] = {}

  def names(self, *tasks: str) -> list[str]:
    """Those who can do one of the tasks."""
    return [n for n in self._names if set(ENTRANTS[n].tasks) & set(tasks)]

  def run(self, names: Iterable[str], *, n: int, d: int, **workload: Any) -> Results:
    """All contestants' times and answers at one problem.

    Args:
      names: of `ENTRANTS`.
      n: points on each side.
      d: coordinates.
      **workload: task, scale (epsilon over the mean cost), iterations, tolerance,
        max_iterations.

    Returns:
      {name: {"wall": [seconds], "peak_mib", "idle_mib", "compile_seconds", "versions",
      "iterations", "converged", "finite", "error"}, or {"left_out": why}}. The error is
      that of the marginals, or relative to the converged gradient.
    """
    x, y = problem.clouds(n, d)
    points, mean = self._folder / "points.npz", problem.mean_cost(x, y)
    np.savez(points, x=x, y=y)
    workload.update(points=str(points), mean_cost=mean)
    workload["epsilon"] = epsilon = workload["scale"] * mean
    results = self._take_turns(names, n, d, workload)
    if n <= JUDGED:
      self._judge(results, workload, x, y, epsilon)
    return results

  def _take_turns(self, names, n, d, workload) -> Results:
    results: Results = {}
    with contextlib.ExitStack() as stack:
      workers = {}
      for i, name in enumerate(names):
        expected = self._expected(name, n, d, workload)
        if expected > self._limit:
          why = f"not run: about {expected:.0f} s a turn, by its time at a smaller size"
          results[name] = {"left_out": why}
          continue
        output = str(self._folder / f"{i}.npz")
        entrant, job = ENTRANTS[name], {**workload, "output": output}
        module = f"benchmarks.sinkhorn.{entrant.library}_worker"
        with leaving_out(name, results):
          python = python_of(entrant.library)
          workers[name] = Worker(python, module, {**job, "how": entrant.how})
          stack.callback(workers[name].close)
          results[name] = {**workers[name].facts, "output": output, "wall": []}
      for _ in range(self._rounds):
        for name in list(ran(results)):
          with leaving_out(name, results):
            turn = workers[name].run(1)
            results[name]["wall"].append(turn.pop("wall"))
            results[name].update(turn)
    for name in ran(results):
      key = self._key(name, d, workload)
      self._times[key] = n, min(results[name]["wall"]) / (workload["iterations"] or 1)
    return results

  def _key(self, name: str, d: int, workload: dict[str, Any]) -> tuple:
    fixed = bool(workload["iterations"])
    return name, d, workload["task"], workload["scale"], fixed

  def _expected(self, name: str, n: int, d: int, workload: dict[str, Any]) -> float:
    """Seconds of one turn; 0 where nothing is known yet."""
    known = self._times.get(self._key(name, d, workload))
    if not known:
      return 0.0
    power = 2 if known[0] >= CALLS else 1
    return known[1] * (n / known[0]) ** power * (workload["iterations"] or 1)

  def _judge(self, results, workload, x, y, epsilon: float) -> None:
    """Adds what the answers are worth, by the same float64 function for all."""
    gradient = None
    for result in ran(results).values():
      with np.load(result.pop("output")) as file:
        arrays = dict(file)
      result["finite"] = all(bool(np.isfinite(a).all()) for a in arrays.values())
      if workload["task"] == "solve":
        f, g = arrays["f"], arrays["g"]
        result["error"] = problem.marginal_error(x, y, f, g, epsilon)
      else:
        if gradient is None:
          gradient = problem.divergence_gradient(x, y, epsilon)
        difference = np.linalg.norm(arrays["gradient"] - gradient)
        result["error"] = float(difference / np.linalg.norm(gradient))
