"""Writes ott-jax's Sinkhorn potentials and costs of small problems, in float64.

In an environment of its own, once; the tests read only the arrays:

    pip install --no-deps -r benchmarks/requirements-ott.txt
    python tests/references/ott_sinkhorn.py

Its convention is turned into jgm's here: P_ij = exp((f_i + g_j - C_ij) / eps) there is
P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps) here, so

    f_jgm = f_ott - eps log a        g_jgm = g_ott - eps log b

where the weights are not zero; where they are, ott-jax has f = -inf and NaN is written.
A constant may move from f to g: it is fixed by <a, f> = <b, g>. The cost is ott-jax's
`reg_ot_cost`, which has jgm's convention already: <P, C> + eps KL(P | a b^T).

Where the marginals are relaxed, ott-jax solves another problem than its documentation
says. Its f has P 1 = a exp(-f_ott / rho), as jgm's has: so its entropy is KL(P | 1),
without the weights. That is jgm's problem with the costs C_ij + eps log(a_i b_j), whose
potentials are ott-jax's as they are. These costs are written, and what ott-jax's plan
has of <P, C> + eps KL(P | a b^T) + rho_a KL(P 1 | a) + rho_b KL(P^T 1 | b), where
rho = eps tau / (1 - tau) for ott-jax's tau.
"""

import hashlib
import json
import pathlib
import platform

import jax
import jax.numpy as jnp
import numpy as np
import ott
from ott.geometry import costs, geometry, pointcloud
from ott.problems.linear import linear_problem
from ott.solvers.linear import sinkhorn
from ott.tools import sinkhorn_divergence

jax.config.update("jax_enable_x64", True)

OUTPUT = pathlib.Path(__file__).with_suffix(".npz")
N, M = 24, 17
THRESHOLD = 1e-12  # of the L1 marginal error
SOLVER = {"threshold": THRESHOLD, "max_iterations": 500_000}
SCALES = (0.5, 0.05, 0.005)  # epsilon over the mean cost
COSTS = {"squared": costs.SqEuclidean(), "euclidean": costs.Euclidean()}
# name -> the cost, the dimension, whether some weights are zero
CASES = {
  "squared_1d": ("squared", 1, False),
  "squared_2d": ("squared", 2, True),
  "squared_5d": ("squared", 5, False),
  "euclidean_2d": ("euclidean", 2, False),
  "matrix": ("matrix", None, True),
}
# name -> epsilon over the mean cost, tau_a, tau_b, the total mass of b
UNBALANCED = {
  "unbalanced_both": (0.05, 0.9, 0.8, 1.3),
  "unbalanced_one": (0.05, 1.0, 0.7, 0.8),
  "unbalanced_small": (0.005, 0.98, 0.98, 1.0),
}
DIVERGENCE = (0.5, 0.05)


def weights(random, n, zeros):
  """Numbers that sum to 1, none of them the same; the first two zero where asked."""
  w = random.uniform(0.2, 1.0, n)
  w[:2] *= not zeros
  return w / w.sum()


def problem(random, cost, d, zeros):
  """Points (or a cost matrix) and weights; the points are numbers of float32."""
  arrays = {"a": weights(random, N, zeros), "b": weights(random, M, False)}
  if cost == "matrix":
    matrix = random.uniform(-1.0, 3.0, (N, M)).astype(np.float32)
    return {**arrays, "cost_matrix": matrix.astype(np.float64)}
  x = random.standard_normal((N, d)).astype(np.float32)
  y = (0.7 * random.standard_normal((M, d)) + 0.5).astype(np.float32)
  return {**arrays, "x": x.astype(np.float64), "y": y.astype(np.float64)}


def make_geometry(cost, arrays, epsilon):
  """ott-jax's geometry of a problem."""
  if cost == "matrix":
    return geometry.Geometry(cost_matrix=arrays["cost_matrix"], epsilon=epsilon)
  return pointcloud.PointCloud(
    arrays["x"], arrays["y"], cost_fn=COSTS[cost], epsilon=epsilon
  )


def mean_cost(cost, arrays):
  """Under a b^T."""
  matrix = np.asarray(make_geometry(cost, arrays, 1.0).cost_matrix)
  return abs(float(arrays["a"] @ matrix @ arrays["b"]))


def run(cost, arrays, epsilon, tau_a=1.0, tau_b=1.0):
  """What ott-jax returns, converged."""
  ot_problem = linear_problem.LinearProblem(
    make_geometry(cost, arrays, epsilon),
    a=arrays["a"],
    b=arrays["b"],
    tau_a=tau_a,
    tau_b=tau_b,
  )
  out = jax.jit(sinkhorn.Sinkhorn(**SOLVER))(ot_problem)
  assert bool(out.converged), "ott-jax did not converge"
  print(f"epsilon {epsilon:.4g}: {int(out.n_iters)} iterations")
  return out


def solve(cost, arrays, epsilon):
  """Potentials in jgm's convention, and the cost."""
  a, b = arrays["a"], arrays["b"]
  out = run(cost, arrays, epsilon)
  with np.errstate(divide="ignore", invalid="ignore"):
    f = np.asarray(out.f) - epsilon * np.log(a)
    g = np.asarray(out.g) - epsilon * np.log(b)
  f, g = np.where(a > 0, f, np.nan), np.where(b > 0, g, np.nan)
  shift = (np.nansum(a * f) - np.nansum(b * g)) / 2
  f, g = f - shift, g + shift
  assert_marginals(cost, arrays, epsilon, f, g)
  return {"epsilon": epsilon, "f": f, "g": g, "cost": np.asarray(out.reg_ot_cost)}


def solve_relaxed(arrays, epsilon, tau_a, tau_b):
  """The same where the marginals are relaxed, and the costs that are jgm's."""
  a, b = arrays["a"], arrays["b"]
  out = run("squared", arrays, epsilon, tau_a, tau_b)
  f, g, costs_ott = (np.asarray(v) for v in (out.f, out.g, out.geom.cost_matrix))
  matrix = costs_ott + epsilon * np.log(np.outer(a, b))
  plan = np.exp((f[:, None] + g - costs_ott) / epsilon)
  cost = (plan * matrix).sum() + epsilon * divergence_of(plan, np.outer(a, b))
  rho = {}
  for name, tau, marginal, wanted in (
    ("rho_a", tau_a, plan.sum(1), a),
    ("rho_b", tau_b, plan.sum(0), b),
  ):
    if tau < 1:
      rho[name] = epsilon * tau / (1 - tau)
      cost += rho[name] * divergence_of(marginal, wanted)
  values = {"cost_matrix": matrix, "epsilon": epsilon, "f": f, "g": g, "cost": cost}
  return {**values, "a": a, "b": b, **rho}


def divergence_of(p, q):
  """KL(p | q) of positive measures."""
  return (p * np.log(p / q)).sum() - p.sum() + q.sum()


def assert_marginals(cost, arrays, epsilon, f, g):
  """The turned potentials make a plan with the marginals a and b."""
  a, b = arrays["a"], arrays["b"]
  matrix = np.asarray(make_geometry(cost, arrays, epsilon).cost_matrix)
  f = np.where(a > 0, f, 0.0)
  plan = np.outer(a, b) * np.exp((f[:, None] + g - matrix) / epsilon)
  error = abs(plan.sum(1) - a).sum() + abs(plan.sum(0) - b).sum()
  assert error < 10 * THRESHOLD, error


def divergence(arrays, epsilon):
  """The Sinkhorn divergence of the squared distance, and its gradient in x."""

  def value(x):
    return sinkhorn_divergence.sinkdiv(
      x,
      jnp.asarray(arrays["y"]),
      epsilon=epsilon,
      a=jnp.asarray(arrays["a"]),
      b=jnp.asarray(arrays["b"]),
      solve_kwargs=SOLVER,
    )

  (out, about), gradient = jax.value_and_grad(value, has_aux=True)(
    jnp.asarray(arrays["x"])
  )
  assert all(about.converged), "ott-jax did not converge"
  return {"value": np.asarray(out), "gradient": np.asarray(gradient)}


def make_arrays():
  """Everything that is written: {name: array}."""
  random, arrays = np.random.default_rng(0), {}

  def put(prefix, values):
    arrays.update({f"{prefix}/{name}": np.asarray(v) for name, v in values.items()})

  for name, (cost, d, zeros) in CASES.items():
    inputs = problem(random, cost, d, zeros)
    put(name, inputs)
    for scale in SCALES:
      epsilon = scale * mean_cost(cost, inputs)
      put(f"{name}/{scale}", solve(cost, inputs, epsilon))
  for name, (scale, tau_a, tau_b, mass) in UNBALANCED.items():
    inputs = problem(random, "squared", 2, False)
    epsilon = scale * mean_cost("squared", inputs)
    inputs["b"] = mass * inputs["b"]
    put(name, solve_relaxed(inputs, epsilon, tau_a, tau_b))
  inputs = problem(random, "squared", 2, False)
  put("divergence", inputs)
  for scale in DIVERGENCE:
    epsilon = scale * mean_cost("squared", inputs)
    put(f"divergence/{scale}", {"epsilon": epsilon, **divergence(inputs, epsilon)})
  return arrays


def main() -> None:
  """Writes the arrays, and beside them the versions and the hash."""
  np.savez(OUTPUT, **make_arrays())
  about = {
    "ott-jax": ott.__version__,
    "jax": jax.__version__,
    "numpy": np.__version__,
    "python": platform.python_version(),
    "sha256": hashlib.sha256(OUTPUT.read_bytes()).hexdigest(),
  }
  OUTPUT.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
  main()
