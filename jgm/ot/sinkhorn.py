"""Entropic optimal transport by Sinkhorn's algorithm: what a user calls."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jgm.ot.costs import Cost, squared_euclidean
from jgm.ot.implicit import followed
from jgm.ot.kernel import Potentials
from jgm.ot.points import check_clouds, check_points
from jgm.ot.problem import Problem
from jgm.ot.solver import Options, solve
from jgm.ot.values import values_of
from jgm.ot.weights import TOLERANCE as SUM_TOLERANCE
from jgm.ot.weights import check_masses, check_weights, is_known

Array = jax.Array

MODES = ("auto", "kernel", "online")
KERNEL_ENTRIES = 2**28  # n m up to which "auto" keeps the kernel: 1 GiB of float32
BLOCK_ENTRIES = (
  2**20
)  # of the costs in memory at a time: what a processor's cache holds
MEMORY = 5  # steps that Anderson's acceleration combines


class SinkhornResult(NamedTuple):
  """A plan by its potentials: P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon).

  `plan`, `apply_plan` and `barycentric_map` make of it what is asked.
  """

  f: Array  # [n], in the unit of the cost; <a, f> = <b, g>
  g: Array  # [m]
  dual_cost: Array  # [] <P, C> + epsilon KL(P | a b^T), from below
  transport_cost: Array  # [] <P, C>
  error: Array  # [] sum_i |(P 1 - a)_i| + sum_j |(P^T 1 - b)_j|
  errors: Array  # [checks] the same after each 10 iterations; -1 where not reached
  iterations: Array  # [] int32
  converged: Array  # [] bool: the error is at most the tolerance
  problem: Problem  # what was solved


def sinkhorn(
  x: ArrayLike,
  y: ArrayLike,
  a: ArrayLike | None = None,
  b: ArrayLike | None = None,
  *,
  epsilon: ArrayLike,
  relative: bool = False,
  cost: Cost = squared_euclidean,
  rho_a: ArrayLike | None = None,
  rho_b: ArrayLike | None = None,
  tolerance: float = 1e-3,
  max_iterations: int = 2000,
  mode: str = "auto",
  block_size: int | None = None,
  initial: tuple[ArrayLike, ArrayLike] | None = None,
  accelerate: bool = True,
  scaling: bool = True,
) -> SinkhornResult:
  """Entropic optimal transport between two weighted clouds of points.

  min_P <P, C> + epsilon KL(P | a b^T) over the plans P with the marginals a and b. From
  large to small epsilon, with Anderson's acceleration, by a kernel that never under- or
  overflows: 1e-3 of the mean cost takes some hundred iterations.

  Under `jit`, with x and a split over the devices of a mesh and y and b whole, each
  device computes its own rows in both modes, and only numbers of y's length are summed.

  Args:
    x: [n, d] float.
    y: [m, d] float.
    a: [n] >= 0 with sum 1, zeros allowed; None: 1 / n each.
    b: [m] likewise.
    epsilon: [] > 0, in the unit of the cost.
    relative: whether epsilon counts in mean costs, sum_ij a_i b_j C_ij, instead. The
      mean is then a constant to derivatives.
    cost: of two points, (x_i [d], y_j [d]) -> []. A function that closes over traced
      values has no derivative in them: compute a matrix for `sinkhorn_on_matrix`.
    rho_a: [] > 0 relaxes the marginal a to any, at the price rho_a KL(P 1 | a); None:
      exact. If it or `rho_b` is given, neither a nor b needs the sum 1.
    rho_b: likewise the marginal b.
    tolerance: of the L1 error of the marginals. In float32 its floor is about 3e-6 at
      epsilon 1e-2 of the mean cost and from 3e-5 to 5e-4 at 1e-3, by rounding of costs.
    max_iterations: each of them updates f and g.
    mode: "kernel" keeps n x m numbers, which an iteration reads twice; "online" keeps
      n + m, and an iteration computes n x m exponentials; "auto" keeps up to 2^28.
    block_size: rows of the cost matrix in memory at a time; None: about 2^20 entries.
    initial: potentials (f, g) to begin with, such as of a problem nearby; epsilon is
      then not scaled. Only g is used.
    accelerate: whether to combine the last five steps (Anderson).
    scaling: whether to come from large epsilon where epsilon is small.

  Returns:
    A SinkhornResult. Where it did not converge, `converged` is False and nothing is
    NaN, also if traced points, weights or epsilon are not valid. `dual_cost` has the
    gradient of the envelope theorem; f, g and what is made of them are differentiated
    implicitly. Properties: equal to the linear programme as epsilon goes to 0, and to
    the closed form between Gaussians at any epsilon.

  Raises:
    ValueError: if shapes do not match or an option is unknown; and, where the values
      are known, if points are not finite, weights are negative or do not sum to 1, or
      epsilon is not > 0.

  Reference: Cuturi 2013. https://arxiv.org/abs/1306.0895
  Peyré & Cuturi 2019, sections 4.2 and 4.4. https://arxiv.org/abs/1803.00567
  """
  x, y = check_clouds(x, y)
  given = _Given(x, y, None, a, b, epsilon, rho_a, rho_b, initial)
  return _checked(
    given,
    _Choices(cost, relative, mode, block_size),
    Options(tolerance, max_iterations, MEMORY if accelerate else 0, scaling),
  )


def sinkhorn_on_matrix(
  cost_matrix: ArrayLike,
  a: ArrayLike | None = None,
  b: ArrayLike | None = None,
  *,
  epsilon: ArrayLike,
  relative: bool = False,
  rho_a: ArrayLike | None = None,
  rho_b: ArrayLike | None = None,
  tolerance: float = 1e-3,
  max_iterations: int = 2000,
  mode: str = "auto",
  block_size: int | None = None,
  initial: tuple[ArrayLike, ArrayLike] | None = None,
  accelerate: bool = True,
  scaling: bool = True,
) -> SinkhornResult:
  """Entropic optimal transport at given costs.

  Args:
    cost_matrix: [n, m] float, finite.
    a: as of `sinkhorn`, as are all that follow.
    b: likewise.
    epsilon: likewise.
    relative: likewise.
    rho_a: likewise.
    rho_b: likewise.
    tolerance: likewise.
    max_iterations: likewise.
    mode: likewise.
    block_size: likewise.
    initial: likewise.
    accelerate: likewise.
    scaling: likewise.

  Returns:
    A SinkhornResult, as of `sinkhorn`; the costs have gradients, too.

  Raises:
    ValueError: as `sinkhorn`.
  """
  matrix = check_points(cost_matrix, "cost_matrix")
  given = _Given(None, None, matrix, a, b, epsilon, rho_a, rho_b, initial)
  return _checked(
    given,
    _Choices(None, relative, mode, block_size),
    Options(tolerance, max_iterations, MEMORY if accelerate else 0, scaling),
  )


def sinkhorn_with_itself(
  x: ArrayLike,
  a: ArrayLike | None = None,
  *,
  epsilon: ArrayLike,
  relative: bool = False,
  cost: Cost = squared_euclidean,
  rho: ArrayLike | None = None,
  tolerance: float = 1e-3,
  max_iterations: int = 2000,
  mode: str = "auto",
  block_size: int | None = None,
  initial: ArrayLike | None = None,
) -> SinkhornResult:
  """Entropic optimal transport from a cloud to itself, whose two potentials are one.

  It takes a handful of iterations, each half as long: the mean of a potential and of
  its step converges fast where the alternation of two does not.

  Args:
    x: [n, d] float.
    a: [n] weights, as of `sinkhorn`.
    epsilon: likewise, as are all that follow.
    relative: likewise.
    cost: likewise; symmetric.
    rho: likewise, of both marginals.
    tolerance: likewise.
    max_iterations: likewise.
    mode: likewise.
    block_size: likewise.
    initial: f to begin with.

  Returns:
    A SinkhornResult with g equal to f.

  Raises:
    ValueError: as `sinkhorn`.

  Reference: Feydy et al. 2019, section 3.1. https://arxiv.org/abs/1810.08278
  """
  x = check_points(x, "x")
  both = None if initial is None else (initial, initial)
  given = _Given(x, x, None, a, a, epsilon, rho, rho, both)
  return _checked(
    given,
    _Choices(cost, relative, mode, block_size, symmetric=True),
    Options(tolerance, max_iterations, 0, scaling=True),
  )


class _Given(NamedTuple):
  """What may be traced."""

  x: Array | None
  y: Array | None
  matrix: Array | None
  a: Any
  b: Any
  epsilon: Any
  rho_a: Any
  rho_b: Any
  initial: Any


class _Choices(NamedTuple):
  """What must be known."""

  cost: Cost | None
  relative: bool
  mode: str
  block_size: int | None
  symmetric: bool = False


def _checked(given: _Given, choices: _Choices, options: Options) -> SinkhornResult:
  """Raises for what can be known before compilation, then solves."""
  if choices.mode not in MODES:
    raise ValueError(f"unknown mode {choices.mode!r}: it is one of {', '.join(MODES)}")
  if choices.block_size is not None and choices.block_size < 1:
    raise ValueError(f"block_size must be at least 1; got {choices.block_size}")
  if options.max_iterations < 1:
    raise ValueError(f"max_iterations must be at least 1; got {options.max_iterations}")
  if not 0 <= options.tolerance < np.inf:
    raise ValueError(f"tolerance must be >= 0 and finite; got {options.tolerance}")
  for name in ("epsilon", "rho_a", "rho_b"):
    value = getattr(given, name)
    if value is not None:
      _check_positive(value, name)
  n, m, dtype = _size(given)
  is_balanced = given.rho_a is None and given.rho_b is None
  check = check_weights if is_balanced else check_masses
  a = check(given.a, n, "a", dtype)
  b = check(given.b, m, "b", dtype)
  if given.initial is not None:
    shapes = tuple(np.shape(potential) for potential in given.initial)
    if shapes != ((n,), (m,)):
      raise ValueError(f"initial must have shapes {((n,), (m,))}: {shapes}")
  as_floats = lambda value: None if value is None else jnp.asarray(value, dtype)
  rest = jax.tree.map(as_floats, tuple(given[5:]))
  return _solved(_Given(*given[:3], a, b, *rest), choices, options)


def _size(given: _Given) -> tuple[int, int, np.dtype]:
  if given.matrix is not None:
    n, m = given.matrix.shape
    return n, m, given.matrix.dtype
  assert given.x is not None and given.y is not None
  return len(given.x), len(given.y), given.x.dtype


def _check_positive(value: ArrayLike, name: str) -> None:
  if np.shape(value) != ():
    raise ValueError(f"{name} must be one number; its shape is {np.shape(value)}")
  if is_known(value) and not 0 < np.asarray(value) < np.inf:
    raise ValueError(f"{name} must be > 0 and finite; got {np.asarray(value)}")


@functools.partial(jax.jit, static_argnums=(1, 2))
def _solved(given: _Given, choices: _Choices, options: Options) -> SinkhornResult:
  problem, valid = _problem(given, choices)
  constant = jax.lax.stop_gradient(problem)
  solution = solve(constant, options, jax.lax.stop_gradient(given.initial))
  potentials = _centred(followed(solution.potentials, problem), problem)
  values = values_of(potentials, problem)
  return SinkhornResult(
    *potentials,
    *values,
    errors=solution.errors,
    iterations=solution.iterations,
    converged=valid & (values.error <= options.tolerance),
    problem=problem,
  )


def _problem(given: _Given, choices: _Choices) -> tuple[Problem, Array]:
  """The problem with what is not valid taken out of it, and whether nothing was."""
  valid = jnp.asarray(True)

  def sane(value: Any, is_valid: Any, instead: float) -> Any:
    nonlocal valid
    if value is None:
      return None
    fine = is_valid(value)
    valid &= jnp.all(fine)
    return jnp.where(fine, value, instead)

  positive = lambda value: (value > 0) & (value < jnp.inf)
  weight = lambda value: (value >= 0) & (value < jnp.inf)
  x, y, matrix = (sane(value, jnp.isfinite, 0.0) for value in given[:3])
  a, b = (sane(value, weight, 0.0) for value in (given.a, given.b))
  epsilon, rho_a, rho_b = (sane(value, positive, 1.0) for value in given[5:8])
  n, m, _ = _size(given)
  block_size = choices.block_size or max(1, BLOCK_ENTRIES // m)
  keep_kernel = choices.mode == "kernel" or (
    choices.mode == "auto" and n * m <= KERNEL_ENTRIES
  )
  problem = Problem(
    *(x, y, matrix, a, b, epsilon, rho_a, rho_b),
    cost=choices.cost,
    block_size=min(n, block_size),
    keep_kernel=keep_kernel,
    symmetric=choices.symmetric,
  )
  sum_a, sum_b = jnp.sum(a), jnp.sum(b)
  if rho_a is None and rho_b is None:
    valid &= (jnp.abs(sum_a - 1) < SUM_TOLERANCE) & (jnp.abs(sum_b - 1) < SUM_TOLERANCE)
  valid &= (sum_a > 0) & (sum_b > 0)
  if choices.relative:
    scale = jax.lax.stop_gradient(problem.mean_cost())
    # If all points are the same, any epsilon gives the same plan.
    scale = jnp.where(scale > 0, scale, 1.0)
    problem = dataclasses.replace(problem, epsilon=epsilon * scale)
  return problem, valid


def _centred(potentials: Potentials, problem: Problem) -> Potentials:
  """Those with <a, f> = <b, g>; of relaxed marginals no constant is free."""
  f, g = potentials
  if problem.rho_a is not None or problem.rho_b is not None:
    return potentials
  shift = (problem.b @ g - problem.a @ f) / 2
  return Potentials(f + shift, g - shift)
