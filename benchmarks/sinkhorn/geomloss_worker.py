"""geomloss's side: `SamplesLoss`, in PyTorch, in its own environment.

Its cost is half the squared distance, so its epsilon and potentials are half of jgm's.
It stops where its schedule of blurs does, from `diameter` down by factors of `scaling`.
Its own begins at the clouds' diameter, and serves for a fixed number of iterations. To
reach an error, the shortest one that does is looked for before the time is taken.
"""

from typing import Any, NamedTuple

import geomloss
import numpy as np
import torch

from benchmarks.sinkhorn.problem import marginal_error
from benchmarks.sinkhorn.worker import Arrays, Solver, serve_solver
from benchmarks.worker import num_threads

STARTS = (1.02, 1.1, 1.3, 2.0, 5.0)  # diameters over the blur
LENGTHS = (10, 20, 30, 50, 75, 100, 150, 200, 300, 500)
FEW = 256  # points of the problem that the schedule is chosen by


class Schedule(NamedTuple):
  """From start * blur down to blur."""

  start: float
  iterations: int

  def options(self, blur: float) -> dict[str, float]:
    """As geomloss wants it; a little over, or rounding could add an iteration."""
    scaling = self.start ** (-1 / max(self.iterations - 2, 1)) - 1e-9
    return {"blur": blur, "diameter": self.start * blur, "scaling": scaling}


def make_solver(workload: dict[str, Any], x: np.ndarray, y: np.ndarray) -> Solver:
  """Of "how": {"backend": "tensorized" or "online"}."""
  torch.set_num_threads(num_threads())
  blur = (workload["epsilon"] / 2) ** 0.5
  schedule, reached = choose_schedule(workload, x, y, blur)
  options = {**schedule.options(blur), **workload["how"]}
  run = {"solve": potentials, "gradient": gradient}[workload["task"]]
  tensors = torch.from_numpy(x), torch.from_numpy(y)
  facts = {**schedule._asdict(), "converged": reached}
  versions = {"geomloss": geomloss.__version__, "torch": torch.__version__}
  return Solver(lambda: run(*tensors, options), lambda out: (out, facts), versions)


def potentials(x: torch.Tensor, y: torch.Tensor, options: dict[str, Any]) -> Arrays:
  """The potentials of transport, in jgm's unit."""
  loss = geomloss.SamplesLoss("sinkhorn", debias=False, potentials=True, **options)
  with torch.no_grad():
    f, g = loss(x, y)
  return {"f": 2 * f.numpy().ravel(), "g": 2 * g.numpy().ravel()}


def gradient(x: torch.Tensor, y: torch.Tensor, options: dict[str, Any]) -> Arrays:
  """The divergence's gradient in x, in jgm's unit."""
  loss = geomloss.SamplesLoss("sinkhorn", debias=True, **options)
  moving = x.clone().requires_grad_()
  (out,) = torch.autograd.grad(loss(moving, y), moving)
  return {"gradient": 2 * out.numpy()}


def choose_schedule(
  workload: dict[str, Any], x: np.ndarray, y: np.ndarray, blur: float
) -> tuple[Schedule, bool]:
  """The schedule, and whether it reaches the error on a few of the points."""
  if workload["iterations"]:
    low, high = np.minimum(x.min(0), y.min(0)), np.maximum(x.max(0), y.max(0))
    start = max(float(np.linalg.norm(high - low)) / blur, STARTS[0])
    return Schedule(start, workload["iterations"]), False
  x, y = x[:FEW], y[:FEW]
  tensors = torch.from_numpy(x), torch.from_numpy(y)
  for iterations in LENGTHS:
    for start in STARTS:
      schedule = Schedule(start, iterations)
      options = {**schedule.options(blur), "backend": "tensorized"}
      out = potentials(*tensors, options)
      error = marginal_error(x, y, out["f"], out["g"], workload["epsilon"])
      if error <= workload["tolerance"]:
        return schedule, True
  return schedule, False


if __name__ == "__main__":
  serve_solver(make_solver)
