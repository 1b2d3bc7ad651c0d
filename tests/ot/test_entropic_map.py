"""The entropic map: between Gaussians it is known, and at the points themselves too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import ot
from jgm.ot.entropic_map import entropic_map


def clouds(n, seed=0):
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(n, 2)) @ np.array([[1.0, 0.0], [0.5, 0.4]])
  return x.astype("f"), (rng.normal(size=(n, 2)) * [0.5, 1.5] + [3.0, 1.0]).astype("f")


@pytest.mark.parametrize("cost", [ot.squared_euclidean, ot.cosine, "own"])
@pytest.mark.parametrize("inverse", [False, True])
def test_at_the_points_of_the_plan_it_is_the_barycentric_map(cost, inverse):
  if cost == "own":
    cost = lambda x, y: jnp.sum(jnp.abs(x - 2 * y))  # not symmetric
  x, y = clouds(7)
  y = y[:5]
  result = ot.sinkhorn(x, y, epsilon=0.3, cost=cost, tolerance=1e-5)
  there = entropic_map(result, y if inverse else x, inverse=inverse, block_size=3)
  plan = np.asarray(ot.plan(result))
  plan, target = (plan.T, x) if inverse else (plan, y)
  expected = plan / plan.sum(axis=1, keepdims=True) @ target
  np.testing.assert_allclose(there, expected, rtol=1e-4, atol=1e-4)


def test_between_gaussians_it_goes_to_the_closed_form():
  """Away from the samples: 2,000 of them leave an error of some 5 / sqrt(2000)."""
  x, y = clouds(2000)
  epsilon = 0.5
  result = ot.sinkhorn(x, y, epsilon=epsilon)
  new = jnp.array([[0.0, 0.0], [1.0, 0.5], [-1.0, 0.3]])
  mixing = np.array([[1.0, 0.0], [0.5, 0.4]], "f")
  exact = ot.gaussian_map(
    np.zeros(2, "f"),
    mixing.T @ mixing,
    np.array([3.0, 1.0], "f"),
    np.diag([0.25, 2.25]).astype("f"),
    epsilon=epsilon,
  )
  np.testing.assert_allclose(entropic_map(result, new), exact(new), atol=0.12)


def test_far_points_stay_in_the_hull_and_nothing_overflows():
  x, y = clouds(6)
  result = ot.sinkhorn(x, y, epsilon=0.01, relative=True)
  far = jnp.array([[1e4, -1e4], [0.0, 0.0]])
  there = np.asarray(jax.jit(entropic_map)(result, far))
  assert np.isfinite(there).all()
  assert (there <= y.max(0) + 1e-5).all() and (there >= y.min(0) - 1e-5).all()


def test_what_cannot_be_is_said():
  x, y = clouds(3)
  result = ot.sinkhorn(x, y, epsilon=1.0)
  with pytest.raises(ValueError, match=r"shape \(k, 2\)"):
    entropic_map(result, jnp.zeros((2, 3)))
  with pytest.raises(ValueError, match="no map"):
    entropic_map(ot.sinkhorn_on_matrix(jnp.ones((3, 3)), epsilon=1.0), x)
