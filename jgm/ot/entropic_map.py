"""The entropic map: a solution's plan carried on to points that it has not seen."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jgm.ot.costs import DISTANCES, cost_matrix, rows_at_a_time
from jgm.ot.kernel import HIGHEST, log_weights
from jgm.ot.points import centred, check_points
from jgm.ot.sinkhorn import SinkhornResult

Array = jax.Array


def entropic_map(
  result: SinkhornResult,
  points: ArrayLike,
  *,
  inverse: bool = False,
  block_size: int | None = None,
) -> Array:
  """Where a new point of the first cloud's distribution goes on average.

  T(x) = sum_j b_j exp((g_j - C(x, y_j)) / epsilon) y_j over the sum of these weights;
  the inverse map goes from y to x by f.

  Args:
    result: of `sinkhorn`, of two clouds.
    points: [k, d] float.
    inverse: whether the points are of the second cloud, and go to the first.
    block_size: points at a time; None: so many that about 2^20 costs are in memory.

  Returns:
    [k, d] float, in the convex hull of the other cloud. Property: at the points of the
    first cloud it is `barycentric_map`, as far as the rows' marginals are right.

  Raises:
    ValueError: if the shape does not match, known points are not finite, or the
      solution is one for a cost matrix.

  Reference: Pooladian & Niles-Weed 2021. https://arxiv.org/abs/2109.12004
  """
  problem = result.problem
  if problem.x is None or problem.y is None or problem.cost is None:
    raise ValueError("a solution for a cost matrix knows no points: there is no map")
  target, potential, weights = problem.y, result.g, problem.b
  cost = problem.cost
  if inverse:
    target, potential, weights = problem.x, result.f, problem.a
    if cost not in DISTANCES:
      cost = lambda y, x: problem.cost(x, y)  # type: ignore[misc]
  points = check_points(points, "points")
  if points.shape[1] != target.shape[1]:
    raise ValueError(f"points must have shape (k, {target.shape[1]}): {points.shape}")
  log_b, around = log_weights(weights), target
  if cost in DISTANCES:
    points, around = centred(points, target)

  epsilon = problem.epsilon

  def block(x: Array) -> Array:
    exponent = (potential[None, :] - cost_matrix(cost, x, around)) / epsilon
    shares = jax.nn.softmax(log_b[None, :] + exponent, axis=1)
    return jnp.matmul(shares, target, precision=HIGHEST)

  size = min(len(points), block_size or rows_at_a_time(len(target)))
  padded = jnp.pad(points, [(0, -len(points) % size), (0, 0)])
  blocks = jax.lax.map(block, padded.reshape(-1, size, points.shape[1]))
  return blocks.reshape(-1, target.shape[1])[: len(points)]
