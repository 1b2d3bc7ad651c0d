import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import ot


@pytest.mark.parametrize("cost", [ot.squared_euclidean, ot.euclidean])
def test_it_is_a_distance(problems, cost):
  """>= 0, 0 between equal clouds, symmetric; and the same in both modes."""
  x, y, a, b = problems.clouds(15, 15, 2, dtype=np.float32)
  how = {"epsilon": 0.1, "relative": True, "tolerance": 1e-5, "cost": cost}
  there = ot.sinkhorn_divergence(x, y, a, b, **how)
  back = ot.sinkhorn_divergence(y, x, b, a, **how)
  same = ot.sinkhorn_divergence(x, x, a, a, **how)
  online = ot.sinkhorn_divergence(x, y, a, b, mode="online", block_size=6, **how)
  assert there.converged and back.converged and same.converged
  assert there.value > 0.05
  np.testing.assert_allclose(there.value, back.value, rtol=1e-5)
  np.testing.assert_allclose(there.value, online.value, rtol=1e-5)
  np.testing.assert_allclose(same.value, 0.0, atol=1e-5)


def test_it_is_less_than_transport_and_more_than_mmd(problems):
  """As epsilon goes to 0 and to infinity."""
  with jax.enable_x64(True):
    x, y, a, b = problems.clouds(9, 9, 1)
    solve = lambda epsilon: (
      ot.sinkhorn_divergence(x, y, a, b, epsilon=epsilon, tolerance=1e-9).value
    )
    wasserstein = ot.wasserstein_1d(x[:, 0], y[:, 0], a, b, p=2)
    # of the kernel -|x - y|^2 / 2, whose MMD sees the means alone
    mmd = (a @ x[:, 0] - b @ y[:, 0]) ** 2
    np.testing.assert_allclose(solve(1e-3), wasserstein, rtol=1e-2)
    np.testing.assert_allclose(solve(1e4), mmd, rtol=1e-3)


def test_its_gradient_flow_ends_at_the_other_cloud():
  """Without the bias: entropic transport alone would end at the mean."""
  key_x, key_y = jax.random.split(jax.random.key(0))
  x, y = jax.random.normal(key_x, (30, 2)), 2 + 0.5 * jax.random.normal(key_y, (30, 2))
  slope = jax.grad(lambda x: ot.sinkhorn_divergence(x, y, epsilon=0.5).value)

  def step(_, x):
    return x - 0.4 * len(x) * slope(x)

  moved = jax.jit(lambda x: jax.lax.fori_loop(0, 200, step, x))(x)
  np.testing.assert_allclose(moved.mean(axis=0), y.mean(axis=0), atol=1e-2)
  np.testing.assert_allclose(jnp.cov(moved.T), jnp.cov(y.T), atol=3e-2)


def test_a_cloud_to_itself_is_the_general_solution(problems):
  x, _, a, _ = problems.clouds(25, 3, 2, dtype=np.float32)
  how = {"epsilon": 0.5, "tolerance": 1e-5}
  one, two = ot.sinkhorn_with_itself(x, a, **how), ot.sinkhorn(x, x, a, a, **how)
  assert one.converged and one.iterations < 20
  np.testing.assert_allclose(one.f, two.f, atol=1e-4)
  np.testing.assert_array_equal(one.f, one.g)
  np.testing.assert_allclose(one.dual_cost, two.dual_cost, atol=1e-6)
