"""Potentials, costs and gradients equal those of ott-jax, whose are of float64.

The arrays are remade by tests/references/ott_sinkhorn.py.
"""

import functools
import hashlib
import json
import pathlib

import jax
import numpy as np
import pytest

from jgm import ot

REFERENCE = pathlib.Path(__file__).parents[1] / "references" / "ott_sinkhorn.npz"
COSTS = {"squared": ot.squared_euclidean, "euclidean": ot.euclidean}
CASES = ("squared_1d", "squared_2d", "squared_5d", "euclidean_2d", "matrix")
SCALES = (0.5, 0.05, 0.005)
UNBALANCED = ("unbalanced_both", "unbalanced_one", "unbalanced_small")
# What the marginals may miss, and then the potentials and costs, relative to the
# largest of them. float64: ott-jax stopped at 1e-12.
PRECISIONS = {"float32": (4e-5, 1e-4), "float64": (1e-11, 1e-8)}


@pytest.fixture(scope="module")
def arrays():
  about = json.loads(REFERENCE.with_suffix(".json").read_text())
  assert hashlib.sha256(REFERENCE.read_bytes()).hexdigest() == about["sha256"]
  with np.load(REFERENCE) as file:
    return dict(file)


def solver(name, inputs, dtype, **options):
  """epsilon -> SinkhornResult of a problem; one compilation for all epsilons."""
  to = lambda key: inputs[key].astype(dtype)
  if "cost_matrix" in inputs:
    given, solve = (to("cost_matrix"),), ot.sinkhorn_on_matrix
  else:
    cost = COSTS[name.split("_")[0]]
    given, solve = (to("x"), to("y")), functools.partial(ot.sinkhorn, cost=cost)
  return functools.partial(solve, *given, to("a"), to("b"), **options)


def part(arrays, prefix):
  prefix = f"{prefix}/"
  return {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}


def assert_same(out, expected, a, tolerance):
  scale = np.nanmax(np.abs(np.concatenate([expected["f"], expected["g"]])))
  assert bool(out.converged), float(out.error)
  seen = a > 0  # where there is no weight, ott-jax has no potential
  np.testing.assert_allclose(
    out.f[seen], expected["f"][seen], rtol=0, atol=tolerance * scale
  )
  np.testing.assert_allclose(out.g, expected["g"], rtol=0, atol=tolerance * scale)
  np.testing.assert_allclose(out.dual_cost, expected["cost"], rtol=tolerance)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", CASES)
def test_balanced(name, dtype, arrays):
  inputs, (error, tolerance) = part(arrays, name), PRECISIONS[dtype]
  with jax.enable_x64(dtype == "float64"):
    solve = solver(name, inputs, dtype, tolerance=error, mode="kernel")
    for scale in SCALES:
      expected = part(arrays, f"{name}/{scale}")
      assert_same(solve(epsilon=expected["epsilon"]), expected, inputs["a"], tolerance)


@pytest.mark.parametrize("name", UNBALANCED)
def test_unbalanced(name, arrays):
  expected = part(arrays, name)
  error, tolerance = PRECISIONS["float64"]
  rho = {key: expected[key] for key in ("rho_a", "rho_b") if key in expected}
  with jax.enable_x64(True):
    solve = solver(name, expected, "float64", tolerance=error, **rho)
    out = solve(epsilon=expected["epsilon"])
    assert_same(out, expected, expected["a"], tolerance)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_online(dtype, arrays):
  name = "squared_5d"
  inputs, (error, tolerance) = part(arrays, name), PRECISIONS[dtype]
  expected = part(arrays, f"{name}/0.05")
  with jax.enable_x64(dtype == "float64"):
    solve = solver(name, inputs, dtype, tolerance=error, mode="online", block_size=7)
    assert_same(solve(epsilon=expected["epsilon"]), expected, inputs["a"], tolerance)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_divergence_and_its_gradient(dtype, arrays):
  inputs, (error, tolerance) = part(arrays, "divergence"), PRECISIONS[dtype]
  with jax.enable_x64(dtype == "float64"):
    x, y, a, b = (inputs[key].astype(dtype) for key in ("x", "y", "a", "b"))
    value_and_gradient = jax.jit(
      jax.value_and_grad(
        lambda x, epsilon: (
          ot.sinkhorn_divergence(x, y, a, b, epsilon=epsilon, tolerance=error).value
        )
      )
    )
    for scale in (0.5, 0.05):
      expected = part(arrays, f"divergence/{scale}")
      value, gradient = value_and_gradient(x, expected["epsilon"].astype(dtype))
      np.testing.assert_allclose(value, expected["value"], rtol=tolerance)
      largest = np.abs(expected["gradient"]).max()
      np.testing.assert_allclose(
        gradient, expected["gradient"], rtol=0, atol=tolerance * largest
      )
