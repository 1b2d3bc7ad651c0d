"""On a line: against scipy, the linear programme and finite differences."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from jgm.ot.one_dimensional import wasserstein_1d


@pytest.fixture
def problem():
  """7 and 5 points; one of x, far away, without weight, and two of y alike."""
  rng = np.random.default_rng(0)
  x, y = rng.normal(size=7), 1.0 + rng.normal(size=5)
  x[2], y[3] = 1e3, y[1]
  a, b = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(5))
  a[2] = 0.0
  return x, y, a / a.sum(), b


def linear_programme(x, y, a, b, p):
  """The least cost of any plan, found without sorting."""
  cost = np.abs(x[:, None] - y[None, :]) ** p
  rows = np.kron(np.eye(len(x)), np.ones(len(y)))
  columns = np.kron(np.ones(len(x)), np.eye(len(y)))
  marginals = np.concatenate([a, b])
  return scipy.optimize.linprog(
    cost.ravel(), A_eq=np.concatenate([rows, columns]), b_eq=marginals
  ).fun


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_it_is_the_linear_programmes(problem, p):
  with jax.enable_x64(True):
    # HiGHS stops at 1e-7.
    expected = linear_programme(*problem, p)
    assert wasserstein_1d(*problem, p=p) == pytest.approx(expected, rel=1e-6)


def test_at_p_1_it_is_scipys(problem):
  x, y, a, b = problem
  reference = scipy.stats.wasserstein_distance
  # Some tens of roundings of float32.
  assert wasserstein_1d(x, y, a, b, p=1) == pytest.approx(
    reference(x, y, a, b), rel=1e-5
  )
  assert wasserstein_1d(x, y, p=1) == pytest.approx(reference(x, y), rel=1e-5)
  assert wasserstein_1d(x[:5], y, p=1) == pytest.approx(reference(x[:5], y), rel=1e-5)


def test_a_point_of_no_weight_counts_for_nothing(problem):
  x, y, a, b = map(jnp.asarray, problem)
  value = lambda far: wasserstein_1d(x.at[2].set(far), y, a, b)
  # Levels that end at 1 only up to rounding would add 1e-7 of 1e20.
  assert value(1e10) == value(0.0)
  slope = jax.grad(lambda x: wasserstein_1d(x, y, a, b))(x)
  assert slope[2] == 0.0 and np.isfinite(slope).all()


def test_one_point_many_points_and_equal_clouds():
  y = np.array([1.0, 2.0, 4.0], "f")
  assert wasserstein_1d(np.zeros(1, "f"), y, p=2) == pytest.approx(7.0)
  assert wasserstein_1d(y, y[::-1]) == 0.0
  twice = np.repeat(y, 2)
  # i / 3 and 2 i / 6 are the same float.
  assert wasserstein_1d(y, twice) == 0.0
  slope = jax.grad(wasserstein_1d)(jnp.asarray(y), jnp.asarray(twice))
  np.testing.assert_array_equal(slope, 0.0)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_gradients_are_finite_differences(problem, p):
  """In the points, and in the weights as they are when divided by their sum."""
  x, y, a, b = problem
  x[2], y[3], a[2] = 0.3, 0.7, 0.1  # apart, so that it is differentiable

  def value(x, y, a, b):
    return wasserstein_1d(x, y, a / jnp.sum(a), b / jnp.sum(b), p=p)

  with jax.enable_x64(True):
    jax.test_util.check_grads(
      jax.jit(value), (x, y, a / a.sum(), b), order=1, modes=["rev"], rtol=1e-5
    )


def test_where_levels_tie_the_slope_in_the_weights_is_a_dual_potential():
  """With f_i + g_j <= c_ij everywhere, also at a point without weight."""
  x, y = jnp.array([0.0, 1.0, 3.0]), jnp.array([10.0, 11.0, 13.0, 12.0])
  a, b = jnp.full(3, 1 / 3), jnp.array([1 / 3, 0.0, 1 / 3, 1 / 3])
  of_weights = lambda a, b: wasserstein_1d(x, y, a, b, p=2)
  value, (f, g) = jax.jit(jax.value_and_grad(of_weights, (0, 1)))(a, b)
  # Each potential is centred: together they lack the value itself.
  assert abs(a @ f) < 1e-5 and abs(b @ g) < 1e-5
  slack = (x[:, None] - y[None, :]) ** 2 - f[:, None] - g[None, :] - value
  # 0 goes to 10, 1 to 12 and 3 to 13. Costs of about 100 are rounded to 1e-5.
  assert np.min(slack) > -1e-4
  np.testing.assert_allclose(slack[np.arange(3), [0, 3, 2]], 0.0, atol=1e-4)
  # The point without weight has the largest potential that it may.
  np.testing.assert_allclose(np.min(slack, axis=0), 0.0, atol=1e-4)


def test_many_problems_at_once():
  x = np.random.default_rng(0).normal(size=(3, 4)).astype("f")
  y = x[:, :3] + 1.0
  together = jax.jit(jax.vmap(wasserstein_1d))(x, y)
  np.testing.assert_allclose(together, list(map(wasserstein_1d, x, y)), rtol=1e-6)


@pytest.mark.parametrize(
  ("x", "options", "message"),
  [
    ([0.0, 1.0], {"p": 0.5}, "p must"),
    ([0.0, 1.0], {"p": np.inf}, "p must"),
    ([0.0, np.nan], {}, "finite"),
    ([[0.0, 1.0]], {}, "shape"),
    ([], {}, "empty"),
    ([0.0, 1.0], {"a": [0.5, 0.6]}, "sum 1"),
  ],
)
def test_bad_input_is_refused(x, options, message):
  with pytest.raises(ValueError, match=message):
    wasserstein_1d(np.array(x), np.zeros(3), **options)
