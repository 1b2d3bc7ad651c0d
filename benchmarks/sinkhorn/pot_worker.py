"""POT's side: `ot.sinkhorn` on NumPy arrays, in its own environment."""

import warnings
from typing import Any

import numpy as np
import ot

from benchmarks.sinkhorn.worker import Solver, serve_solver

# what its log calls the logarithms of the scalings
SCALINGS = {"sinkhorn": "uv", "sinkhorn_log": ("log_u", "log_v")}
SCALINGS["sinkhorn_stabilized"] = ("logu", "logv")


def make_solver(workload: dict[str, Any], x: np.ndarray, y: np.ndarray) -> Solver:
  """Of "how": {"method": ...}. The cost matrix and the plan are part of the work."""
  warnings.filterwarnings("ignore")  # that it did not converge is among the facts
  method, epsilon, n = workload["how"]["method"], workload["epsilon"], len(x)
  weights = np.full(n, 1 / n, np.float32)
  # its error is the L2 norm of one marginal: this one assures the L1 norm
  threshold = workload["tolerance"] / n**0.5
  options = {"numItermax": workload["max_iterations"], "stopThr": threshold}
  if workload["iterations"]:
    options = {"numItermax": workload["iterations"], "stopThr": 0.0}

  def solve() -> dict[str, Any]:
    cost = ot.dist(x, y)
    _, log = ot.sinkhorn(
      weights, weights, cost, epsilon, method=method, log=True, **options
    )
    return log

  def answer(log: dict[str, Any]) -> Any:
    u, v = (np.asarray(log[name], np.float64) for name in SCALINGS[method])
    if method == "sinkhorn":
      with np.errstate(divide="ignore", invalid="ignore"):
        u, v = np.log(u), np.log(v)
    iterations = log.get("niter", log.get("n_iter")) + 1
    facts = {"iterations": iterations, "converged": iterations < options["numItermax"]}
    return {"f": epsilon * (u + np.log(n)), "g": epsilon * (v + np.log(n))}, facts

  return Solver(solve, answer, {"POT": ot.__version__, "numpy": np.__version__})


if __name__ == "__main__":
  serve_solver(make_solver)
