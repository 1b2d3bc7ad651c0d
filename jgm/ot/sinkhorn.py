"""Entropic optimal transport by Sinkhorn's algorithm: what a user calls."""

from jax.typing import ArrayLike

from jgm.ot.costs import Cost, squared_euclidean
from jgm.ot.points import check_clouds, check_points
from jgm.ot.posing import Choices, Given, SinkhornResult, pose_and_solve
from jgm.ot.solver import Options

MEMORY = 5  # steps that Anderson's acceleration combines


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
      then not scaled. Only g is used, and where it is not finite, 0.
    accelerate: whether to combine the last five steps (Anderson).
    scaling: whether to come from large epsilon where epsilon is small.

  Returns:
    A SinkhornResult. Where it did not converge, `converged` is False and nothing is
    NaN, also if traced points, weights or epsilon are not valid. `dual_cost` has the
    gradient of the envelope theorem; f, g and what is made of them are differentiated
    implicitly, by a linear system that is ill-conditioned where epsilon is small: at
    1e-3 mean costs the plan's derivatives hold, f's and g's own need not. Properties:
    equal to the linear programme as epsilon goes to 0, and to the closed form between
    Gaussians at any epsilon.

  Raises:
    ValueError: if shapes do not match or an option is unknown; and, where the values
      are known, if points are not finite, weights are negative or do not sum to 1, or
      epsilon is not > 0.

  Reference: Cuturi 2013. https://arxiv.org/abs/1306.0895
  Peyré & Cuturi 2019, sections 4.2 and 4.4. https://arxiv.org/abs/1803.00567
  """
  x, y = check_clouds(x, y)
  given = Given(x, y, None, a, b, epsilon, rho_a, rho_b, initial)
  return pose_and_solve(
    given,
    Choices(cost, relative, mode, block_size),
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
  given = Given(None, None, matrix, a, b, epsilon, rho_a, rho_b, initial)
  return pose_and_solve(
    given,
    Choices(None, relative, mode, block_size),
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
  given = Given(x, x, None, a, a, epsilon, rho, rho, both)
  return pose_and_solve(
    given,
    Choices(cost, relative, mode, block_size, symmetric=True),
    Options(tolerance, max_iterations, 0, scaling=True),
  )
