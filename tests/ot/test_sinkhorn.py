import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from jgm import ot


@pytest.mark.parametrize("mode", ["kernel", "online"])
def test_the_plan_is_optimal(problems, mode):
  """No gap between primal and dual, and the marginals hold: that is the optimum."""
  with jax.enable_x64(True):
    x, y, a, b = problems.clouds(13, 9, 3)
    result = ot.sinkhorn(
      x, y, a, b, epsilon=0.1, tolerance=1e-11, mode=mode, block_size=4
    )
    costs = problems.squared_costs(x, y)
    P = problems.plan_of(result, costs, a, b)
    assert result.converged
    np.testing.assert_allclose(P.sum(axis=1), a, atol=1e-11)
    np.testing.assert_allclose(P.sum(axis=0), b, atol=1e-11)
    np.testing.assert_allclose(
      result.dual_cost, problems.primal(P, costs, a, b, 0.1), rtol=1e-9
    )
    np.testing.assert_allclose(result.transport_cost, (P * costs).sum(), rtol=1e-12)
    np.testing.assert_allclose(a @ result.f, b @ result.g, rtol=1e-9)
    np.testing.assert_allclose(ot.plan(result), P, rtol=1e-9)


@pytest.mark.parametrize(("rho_a", "rho_b"), [(0.3, 2.0), (None, 0.5), (1e4, 1e4)])
def test_relaxed_marginals_are_optimal(problems, rho_a, rho_b):
  with jax.enable_x64(True):
    x, y, a, b = problems.clouds(8, 11, 2)
    a = 1.7 * a  # more mass than there is on the other side
    result = ot.sinkhorn(
      x, y, a, b, epsilon=0.2, rho_a=rho_a, rho_b=rho_b, tolerance=1e-11
    )
    costs = problems.squared_costs(x, y)
    P = problems.plan_of(result, costs, a, b)
    found = problems.primal(P, costs, a, b, 0.2, rho_a, rho_b)
    assert result.converged
    np.testing.assert_allclose(result.dual_cost, found, rtol=1e-7)
    if rho_a is None:
      np.testing.assert_allclose(P.sum(axis=1), a, atol=1e-9)


@pytest.mark.parametrize("masses", [(100.0, 0.01), (1e-6, 1e-6)])
def test_relaxed_marginals_of_any_mass_and_outliers(problems, masses):
  """Converged is what it says, at any mass; and an outlier still has its shares."""
  with jax.enable_x64(True):
    x, y, a, b = problems.clouds(12, 10, 2)
    x[0] = 30.0  # of which next to nothing is moved
    a, b = masses[0] * a, masses[1] * b
    solved = ot.sinkhorn(x, y, a, b, epsilon=0.1, rho_a=0.5, rho_b=0.5, tolerance=1e-6)
    P = problems.plan_of(solved, problems.squared_costs(x, y), a, b)
    wanted = a * np.exp(-solved.f / 0.5), b * np.exp(-solved.g / 0.5)
    off = np.abs(P.sum(axis=1) - wanted[0]).sum() + np.abs(P.sum(0) - wanted[1]).sum()
    assert solved.converged
    np.testing.assert_allclose(solved.error, off / np.mean(masses), rtol=1e-3)
    assert off <= 1e-6 * np.mean(masses)
    assert P[0].sum() < 1e-100
    assert np.isfinite(ot.barycentric_map(solved)).all()


def test_it_goes_to_the_linear_programme(problems):
  """<P, C> lies between its optimum and that plus epsilon log n."""
  with jax.enable_x64(True):
    x, y, a, b = problems.clouds(7, 6, 2)
    costs = problems.squared_costs(x, y)
    marginals = np.concatenate(
      [np.kron(np.eye(7), np.ones((1, 6))), np.kron(np.ones((1, 7)), np.eye(6))]
    )
    exact = linprog(costs.ravel(), A_eq=marginals, b_eq=np.concatenate([a, b])).fun
    for epsilon in (0.1, 0.01, 1e-3):
      found = ot.sinkhorn(x, y, a, b, epsilon=epsilon, tolerance=1e-9)
      assert found.converged
      assert exact - 1e-8 < found.transport_cost < exact + epsilon * np.log(7)


def test_it_is_the_closed_form_between_gaussians():
  """Gauss-Hermite nodes stand for the densities, to more digits than are compared."""
  with jax.enable_x64(True):
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    for epsilon in (0.5, 3.0):
      found = ot.sinkhorn(
        nodes[:, None],
        1.5 + 0.6 * nodes[:, None],
        weights,
        weights,
        epsilon=epsilon,
        tolerance=1e-10,
      )
      wanted = ot.entropic_gaussian_cost(
        jnp.zeros(1), jnp.eye(1), jnp.full(1, 1.5), 0.36 * jnp.eye(1), epsilon=epsilon
      )
      np.testing.assert_allclose(found.dual_cost, wanted, rtol=1e-8)


def test_it_goes_to_the_sorted_solution(problems):
  with jax.enable_x64(True):
    x, y, a, b = problems.clouds(9, 14, 1)
    found = ot.sinkhorn(x, y, a, b, epsilon=1e-3, tolerance=1e-8)
    sorted_cost = ot.wasserstein_1d(x[:, 0], y[:, 0], a, b, p=2)
    np.testing.assert_allclose(found.transport_cost, sorted_cost, atol=1e-3 * np.log(9))


@pytest.mark.parametrize("d", [2, 10])
def test_float32_is_safe_from_small_to_large_epsilon(problems, d):
  """What the issue asks of float32, beside float64, at n = 256."""
  x, y, a, b = problems.clouds(256, 256, d)
  with jax.enable_x64(True):
    tight = jax.jit(
      lambda epsilon: ot.sinkhorn(
        x, y, a, b, epsilon=epsilon, relative=True, tolerance=1e-9, max_iterations=5000
      )
    )
    exact = {epsilon: jax.device_get(tight(epsilon)) for epsilon in (1e-3, 1e-2, 10.0)}
  solve = jax.jit(
    lambda epsilon, points: ot.sinkhorn(
      *points, epsilon=epsilon, relative=True, tolerance=1e-5
    )
  )
  points = tuple(np.float32(v) for v in (x, y, a, b))
  for epsilon, wanted in exact.items():
    found = solve(epsilon, points)
    chex.assert_tree_all_finite(found._replace(errors=0, problem=0))
    assert wanted.converged
    assert found.iterations <= 2000
    assert found.error <= 1e-4
    np.testing.assert_allclose(found.dual_cost, wanted.dual_cost, rtol=1e-5)
    for potential in ("f", "g"):
      single, double = getattr(found, potential), getattr(wanted, potential)
      np.testing.assert_allclose(single, double, atol=1e-4 * np.ptp(double))


def test_acceleration_and_scaling_change_the_way_and_not_the_end(problems):
  with jax.enable_x64(True):
    x, y, a, b = problems.clouds(40, 30, 2)
    solve = lambda **how: ot.sinkhorn(
      x,
      y,
      a,
      b,
      epsilon=0.003,
      relative=True,
      tolerance=1e-9,
      max_iterations=20_000,
      **how,
    )
    fast, slow = solve(), solve(accelerate=False, scaling=False)
    assert fast.converged and slow.converged
    assert 5 * fast.iterations < slow.iterations
    np.testing.assert_allclose(fast.f, slow.f, atol=1e-7)


def test_a_warm_start_is_at_its_end(problems):
  x, y, a, b = problems.clouds(20, 30, 2, dtype=np.float32)
  cold = ot.sinkhorn(x, y, a, b, epsilon=0.01, tolerance=1e-4)
  warm = ot.sinkhorn(x, y, a, b, epsilon=0.01, tolerance=1e-4, initial=(cold.f, cold.g))
  assert warm.converged
  assert warm.iterations <= 3 < cold.iterations


@pytest.mark.parametrize(
  ("cost", "pairwise"),
  [
    (ot.euclidean, lambda x, y: np.linalg.norm(x - y)),
    (ot.cosine, lambda x, y: 1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y)),
    (lambda x, y: jnp.sum(jnp.abs(x - y)), lambda x, y: np.abs(x - y).sum()),
  ],
  ids=["euclidean", "cosine", "any"],
)
@pytest.mark.parametrize("mode", ["kernel", "online"])
def test_costs(problems, cost, pairwise, mode):
  x, y, a, b = problems.clouds(7, 5, 6, dtype=np.float32)
  costs = np.array([[pairwise(x_i, y_j) for y_j in y] for x_i in x], np.float32)
  how = {"epsilon": 0.1, "relative": True, "tolerance": 1e-5}
  points = ot.sinkhorn(x, y, a, b, cost=cost, mode=mode, block_size=3, **how)
  matrix = ot.sinkhorn_on_matrix(costs, a, b, mode=mode, block_size=2, **how)
  assert points.converged and matrix.converged
  np.testing.assert_allclose(points.f, matrix.f, atol=1e-4)
  np.testing.assert_allclose(points.transport_cost, matrix.transport_cost, rtol=1e-4)


def test_zero_weights_are_as_if_the_points_were_not_there(problems):
  x, y, a, b = problems.clouds(12, 9, 2, dtype=np.float32)
  a[4:], b[:3] = 0.0, 0.0
  a, b = a / a.sum(), b / b.sum()
  how = {"epsilon": 0.02, "tolerance": 1e-5}
  for mode in ("kernel", "online"):
    whole = ot.sinkhorn(x, y, a, b, mode=mode, block_size=5, **how)
    part = ot.sinkhorn(x[:4], y[3:], a[:4], b[3:], **how)
    assert whole.converged
    np.testing.assert_allclose(whole.dual_cost, part.dual_cost, rtol=1e-5)
    np.testing.assert_allclose(whole.f[:4], part.f, atol=1e-4)
    chex.assert_tree_all_finite(whole._replace(errors=0, problem=0))


def extremes():
  rng = np.random.default_rng(0)
  some = rng.normal(size=(9, 3))
  yield "identical points", np.ones((5, 2)), np.ones((3, 2))
  yield "one point", np.zeros((1, 2)), rng.normal(size=(4, 2))
  yield "far from the origin", some + 1e4, some[:6] + 1e4
  yield "large", 1e4 * some, 1e4 * rng.normal(size=(7, 3))
  yield "duplicates", np.repeat(some[:4], 5, axis=0), some[4:]
  yield "far apart", some, some + 1e4
  yield "one dimension", some[:, :1], some[:4, :1]


@pytest.mark.parametrize("which", list(extremes()), ids=lambda which: which[0])
def test_extremes(which):
  _, x, y = which
  solve = jax.jit(
    lambda epsilon: ot.sinkhorn(
      np.float32(x), np.float32(y), epsilon=epsilon, relative=True
    )
  )
  for epsilon in (0.01, 10.0):
    found = solve(epsilon)
    assert found.converged and found.error <= 1e-3
    chex.assert_tree_all_finite(found._replace(problem=0))


def test_what_cannot_be_known_before_compilation_is_not_nan(problems):
  x, y, a, b = problems.clouds(5, 4, 2, dtype=np.float32)
  solve = jax.jit(lambda *given: ot.sinkhorn(*given[:4], epsilon=given[4]))
  good = solve(x, y, a, b, 0.1)
  assert good.converged
  for bad in (
    (x * np.nan, y, a, b, 0.1),
    (x, y * np.inf, a, b, 0.1),
    (x, y, -a, b, 0.1),
    (x, y, a, 2 * b, 0.1),
    (x, y, a * np.nan, b, 0.1),
    (x, y, a, b, 0.0),
    (x, y, a, b, -1.0),
    (x, y, a, b, np.nan),
  ):
    found = solve(*bad)
    assert not found.converged
    chex.assert_tree_all_finite(found._replace(problem=0))


def test_bad_input(problems):
  x, y, a, b = problems.clouds(5, 4, 2, dtype=np.float32)
  for message, given, how in (
    ("epsilon", (x, y), {"epsilon": 0.0}),
    ("epsilon", (x, y), {"epsilon": np.nan}),
    ("epsilon", (x, y), {"epsilon": np.ones(3)}),
    ("x must be finite", (x * np.nan, y), {"epsilon": 1.0}),
    ("width", (x, y[:, :1]), {"epsilon": 1.0}),
    ("shape", (x[0], y), {"epsilon": 1.0}),
    ("a must", (x, y, -a), {"epsilon": 1.0}),
    ("a must have sum 1", (x, y, 2 * a), {"epsilon": 1.0}),
    ("b must have shape", (x, y, a, a), {"epsilon": 1.0}),
    ("mode", (x, y), {"epsilon": 1.0, "mode": "dense"}),
    ("rho_a", (x, y), {"epsilon": 1.0, "rho_a": -1.0}),
    ("block_size", (x, y), {"epsilon": 1.0, "block_size": 0}),
    ("max_iterations", (x, y), {"epsilon": 1.0, "max_iterations": 0}),
    ("tolerance", (x, y), {"epsilon": 1.0, "tolerance": -1.0}),
    ("initial", (x, y), {"epsilon": 1.0, "initial": (b, a)}),
  ):
    with pytest.raises(ValueError, match=message):
      ot.sinkhorn(*given, **how)
  with pytest.raises(ValueError, match="cost_matrix"):
    ot.sinkhorn_on_matrix(np.full((3, 2), np.nan), epsilon=1.0)


def test_a_batch_of_problems_is_each_of_them(problems):
  x, y, _, _ = problems.clouds(12, 10, 2, dtype=np.float32)
  xs = jnp.stack([x, 3 * x, x + 1])
  solve = lambda x: ot.sinkhorn(x, y, epsilon=0.05, relative=True, tolerance=1e-5)
  together = jax.vmap(solve)(xs)
  assert together.converged.all()
  for i, x_i in enumerate(xs):
    alone = solve(x_i)
    np.testing.assert_allclose(together.dual_cost[i], alone.dual_cost, rtol=1e-5)
    assert together.iterations[i] == alone.iterations


def sizes_of(jaxpr):
  for eqn in jaxpr.eqns:
    yield from (v.aval.size for v in eqn.outvars if hasattr(v.aval, "size"))
    for inner in jax.tree.leaves(
      list(eqn.params.values()), is_leaf=lambda v: hasattr(v, "eqns")
    ):
      inner = getattr(inner, "jaxpr", inner)
      if hasattr(inner, "eqns"):
        yield from sizes_of(inner)


def test_online_memory_grows_as_n_plus_m():
  """No array of the program or of its gradient has n m numbers."""
  n = 4096
  x = jax.ShapeDtypeStruct((n, 3), jnp.float32)

  def loss(x, y):
    return ot.sinkhorn_divergence(x, y, epsilon=0.1, mode="online", block_size=16).value

  largest = max(sizes_of(jax.make_jaxpr(jax.grad(loss))(x, x).jaxpr))
  assert largest <= 2 * 16 * n  # a block, or the memory of the acceleration
  kept = lambda x, y: ot.sinkhorn(x, y, epsilon=0.1, mode="kernel").dual_cost
  assert max(sizes_of(jax.make_jaxpr(kept)(x, x).jaxpr)) == n * n


@pytest.mark.parametrize("mode", ["kernel", "online"])
def test_rows_split_over_devices(problems, mode):
  """The same numbers, and no device ever holds more than its rows of the costs."""
  n, m = 64, 48
  x, y, a, b = problems.clouds(n, m, 2, dtype=np.float32)
  mesh = jax.make_mesh((8,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))

  @jax.value_and_grad
  def loss(x, y, a, b):
    how = {"epsilon": 0.05, "tolerance": 1e-5, "mode": mode, "block_size": 16}
    found = ot.sinkhorn(x, y, a, b, **how)
    return found.dual_cost + jnp.sum(found.f**2)

  place = lambda value, spec: jax.device_put(value, jax.NamedSharding(mesh, spec))
  rows, whole = jax.P("rows"), jax.P()
  given = place(x, rows), place(y, whole), place(a, rows), place(b, whole)
  compiled = jax.jit(loss).lower(*given).compile()
  value, gradient = compiled(*given)
  wanted, wanted_gradient = loss(x, y, a, b)
  np.testing.assert_allclose(value, wanted, rtol=1e-5)
  np.testing.assert_allclose(gradient, wanted_gradient, rtol=1e-4, atol=1e-3)
  # of the costs of 64 rows (kernel) or of a block of 16, an eighth each
  widest = {"kernel": n // 8, "online": 16 // 8}[mode]
  shapes = set(re.findall(r"f32\[(\d+),48\]", compiled.as_text()))
  assert max(map(int, shapes)) == max(widest, 5)  # 5: the acceleration's memory


def test_errors_are_those_of_the_iterations(problems):
  x, y, a, b = problems.clouds(30, 30, 2, dtype=np.float32)
  plain = {"scaling": False, "accelerate": False, "tolerance": 0.0}
  solve = lambda n: ot.sinkhorn(x, y, a, b, epsilon=0.1, max_iterations=n, **plain)
  long = solve(25)
  assert long.errors.shape == (3,)
  for i in (1, 2):
    # of the columns before the step, which then makes it smaller
    assert solve(10 * i).error <= long.errors[i - 1] <= solve(10 * i - 1).error * 1.001
  assert solve(9).errors[0] > 0


def test_out_of_iterations_on_the_way_to_a_small_epsilon(problems):
  x, y, a, b = problems.clouds(30, 30, 2, dtype=np.float32)
  found = ot.sinkhorn(x, y, a, b, epsilon=1e-3, relative=True, max_iterations=4)
  assert not found.converged
  assert found.error < 2.0  # not by the potentials of a larger epsilon: 1e20


def test_large_epsilon_keeps_its_digits(problems):
  x, y, a, b = problems.clouds(30, 40, 2)
  solve = lambda dtype: (
    ot.sinkhorn(
      *(v.astype(dtype) for v in (x, y, a, b)), epsilon=1e6, tolerance=1e-6
    ).dual_cost
  )
  with jax.enable_x64(True):
    wanted = solve(np.float64)
  np.testing.assert_allclose(solve(np.float32), wanted, rtol=1e-5)


def test_half_precision_is_solved_in_single(problems):
  x, y, _, _ = problems.clouds(8, 9, 2, dtype=np.float32)
  halves = jnp.asarray(x, jnp.bfloat16), jnp.asarray(y, jnp.bfloat16)
  found = ot.sinkhorn(*halves, epsilon=0.1, relative=True)
  assert found.converged and found.f.dtype == jnp.float32
