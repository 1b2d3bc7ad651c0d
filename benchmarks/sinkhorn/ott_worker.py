"""ott-jax's side: its Sinkhorn on a PointCloud, jitted, in its own environment."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import ott
from ott.geometry import epsilon_scheduler, pointcloud
from ott.problems.linear import linear_problem
from ott.solvers.linear import acceleration, sinkhorn
from ott.tools import sinkhorn_divergence

from benchmarks.sinkhorn.worker import Solver, serve_solver


def make_solver(workload: dict[str, Any], x: np.ndarray, y: np.ndarray) -> Solver:
  """Of "how": batch_size (online, where it is given), lse_mode, tuned."""
  how, options = workload["how"], stopping(workload)
  options["lse_mode"] = how.get("lse_mode", True)
  if how.get("tuned"):
    options["momentum"] = acceleration.Momentum(start=100)  # once epsilon is decayed
  tasks = {"solve": solve, "gradient": gradient}
  x, y = jax.device_put(x), jax.device_put(y)
  start = time.perf_counter()
  run = tasks[workload["task"]](workload, options)
  program = jax.jit(run).lower(x, y).compile()
  compile_seconds = time.perf_counter() - start
  return Solver(
    lambda: jax.block_until_ready(program(x, y)),
    lambda out: answer(out, workload["epsilon"]),
    {"ott-jax": ott.__version__, "jax": jax.__version__},
    compile_seconds,
  )


def stopping(workload: dict[str, Any]) -> dict[str, Any]:
  """When the iterations end; its error is looked at every 10, its default."""
  if k := workload["iterations"]:
    inner = {"inner_iterations": min(k, 10)}
    return {"threshold": 0.0, "min_iterations": k, "max_iterations": k, **inner}
  return {
    "threshold": workload["tolerance"],
    "max_iterations": workload["max_iterations"],
  }


def make_epsilon(workload: dict[str, Any]) -> Any:
  """The number, or ott-jax's own decay from the mean cost to it."""
  epsilon = workload["epsilon"]
  if not workload["how"].get("tuned"):
    return epsilon
  start = workload["mean_cost"] / epsilon
  return epsilon_scheduler.Epsilon(epsilon, init=max(start, 1.0), decay=0.9)


def solve(workload: dict[str, Any], options: dict[str, Any]):
  """(x, y) -> the potentials, and how it ended."""
  batch_size, epsilon = workload["how"].get("batch_size"), make_epsilon(workload)

  def run(x, y):
    geom = pointcloud.PointCloud(x, y, epsilon=epsilon, batch_size=batch_size)
    out = sinkhorn.Sinkhorn(**options)(linear_problem.LinearProblem(geom))
    facts = {"iterations": out.n_iters, "converged": out.converged}
    return {"f": out.f, "g": out.g}, facts

  return run


def gradient(workload: dict[str, Any], options: dict[str, Any]):
  """(x, y) -> the divergence's gradient in x."""
  batch_size, epsilon = workload["how"].get("batch_size"), workload["epsilon"]

  def run(x, y):
    def value(x):
      divergence, out = sinkhorn_divergence.sinkdiv(
        x, y, epsilon=epsilon, batch_size=batch_size, solve_kwargs=options
      )
      converged = jnp.stack(out.converged).all()
      return divergence, {"iterations": out.n_iters[0], "converged": converged}

    gradient, facts = jax.grad(value, has_aux=True)(x)
    return {"gradient": gradient}, facts

  return run


def answer(out: Any, epsilon: float) -> Any:
  """Potentials against a b^T, not against the counting measure."""
  arrays, facts = jax.tree.map(np.asarray, out)
  if "f" in arrays:
    f, g = (arrays[name].astype(np.float64) for name in "fg")
    arrays = {"f": f + epsilon * np.log(len(f)), "g": g + epsilon * np.log(len(g))}
  return arrays, facts


if __name__ == "__main__":
  serve_solver(make_solver)
