import jax
import numpy as np
import pytest

from jgm import ot


@pytest.fixture(params=["kernel", "online"])
def solved(request, problems):
  x, y, a, b = problems.clouds(11, 8, 2, dtype=np.float32)
  how = {"epsilon": 0.05, "tolerance": 1e-5, "mode": request.param, "block_size": 4}
  return ot.sinkhorn(x, y, a, b, **how)


def test_the_plan_and_its_products(solved):
  P, rng = np.asarray(ot.plan(solved)), np.random.default_rng(0)
  along, across = rng.normal(size=(8, 3)), rng.normal(size=11)
  np.testing.assert_allclose(ot.apply_plan(solved, along), P @ along, atol=1e-6)
  np.testing.assert_allclose(
    ot.apply_plan(solved, across, axis=0), P.T @ across, atol=1e-6
  )
  np.testing.assert_allclose(P.sum(axis=1), solved.problem.a, atol=1e-5)
  costs = ot.cost_matrix(ot.squared_euclidean, solved.problem.x, solved.problem.y)
  np.testing.assert_allclose((P * costs).sum(), solved.transport_cost, rtol=1e-5)


def test_the_barycentric_map(solved):
  P, y = np.asarray(ot.plan(solved)), np.asarray(solved.problem.y)
  wanted = P @ y / P.sum(axis=1, keepdims=True)
  np.testing.assert_allclose(ot.barycentric_map(solved), wanted, atol=1e-5)
  np.testing.assert_allclose(
    ot.barycentric_map(solved, y[:, :1]), wanted[:, :1], atol=1e-5
  )


def test_the_map_between_gaussians_is_affine():
  """The entropic map of the closed form, on Gauss-Hermite nodes."""
  with jax.enable_x64(True):
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    x, y = nodes[:, None], 2 + 0.5 * nodes[:, None]
    found = ot.sinkhorn(x, y, weights, weights, epsilon=0.4, tolerance=1e-11)
    moments = np.zeros(1), np.eye(1), np.full(1, 2.0), 0.25 * np.eye(1)
    wanted = ot.gaussian_map(*moments, epsilon=0.4)(x)
    likely = weights > 1e-6
    found = ot.barycentric_map(found)
    np.testing.assert_allclose(found[likely], wanted[likely], atol=1e-4)


def test_bad_input(solved):
  with pytest.raises(ValueError, match="axis"):
    ot.apply_plan(solved, np.ones(8), axis=2)
  with pytest.raises(ValueError, match="shape"):
    ot.apply_plan(solved, np.ones(11))
  with pytest.raises(ValueError, match="shape"):
    ot.barycentric_map(solved, np.ones(8))
  matrix = ot.sinkhorn_on_matrix(np.ones((3, 2), np.float32), epsilon=1.0)
  with pytest.raises(ValueError, match="give y"):
    ot.barycentric_map(matrix)
