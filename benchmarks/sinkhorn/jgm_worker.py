"""jgm's side, as anyone runs it: jitted, after `configure_jax`."""

import time
from typing import Any

import jax
import numpy as np

import jgm
from benchmarks.sinkhorn.worker import Solver, serve_solver
from jgm import ot
from jgm.xla import configure_jax


def make_solver(workload: dict[str, Any], x: np.ndarray, y: np.ndarray) -> Solver:
  """Of "how": {"mode": "kernel" or "online"}."""
  configure_jax()
  jax.config.update("jax_compilation_cache_dir", None)  # compilation is measured
  options = {"epsilon": workload["epsilon"], **workload["how"], **stopping(workload)}
  tasks = {"solve": solve, "gradient": gradient}
  x, y = jax.device_put(x), jax.device_put(y)
  start = time.perf_counter()
  program = jax.jit(tasks[workload["task"]](options)).lower(x, y).compile()
  compile_seconds = time.perf_counter() - start
  return Solver(
    lambda: jax.block_until_ready(program(x, y)),
    lambda out: out,
    {"jgm": getattr(jgm, "__version__", "here"), "jax": jax.__version__},
    compile_seconds,
  )


def stopping(workload: dict[str, Any]) -> dict[str, Any]:
  """When the iterations end: plain ones after a fixed number, or all means until."""
  if workload["iterations"]:
    plain = {"scaling": False, "accelerate": False}
    return {"tolerance": 0.0, "max_iterations": workload["iterations"], **plain}
  return {name: workload[name] for name in ("tolerance", "max_iterations")}


def solve(options: dict[str, Any]):
  """(x, y) -> the potentials, and how it ended."""

  def run(x, y):
    out = ot.sinkhorn(x, y, **options)
    facts = {"iterations": out.iterations, "converged": out.converged}
    return {"f": out.f, "g": out.g}, facts

  return run


def gradient(options: dict[str, Any]):
  """(x, y) -> the divergence's gradient in x."""

  def run(x, y):
    def value(x):
      out = ot.sinkhorn_divergence(x, y, **options)
      facts = {"iterations": out.xy.iterations, "converged": out.converged}
      return out.value, facts

    gradient, facts = jax.grad(value, has_aux=True)(x)
    return {"gradient": gradient}, facts

  return run


if __name__ == "__main__":
  serve_solver(make_solver)
