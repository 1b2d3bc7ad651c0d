"""Ground costs between two points, and between all pairs of two clouds.

A cost is any function (x [d], y [d]) -> []. Those here also have a form for whole
clouds that is faster than one pair at a time, and which `cost_matrix` finds by itself.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jgm.ot.points import distances, safe_sqrt, squared_distances

Array = jax.Array
Cost = Callable[[Array, Array], Array]

# Entries of the costs in memory at a time: about what a processor's cache holds.
BLOCK_ENTRIES = 2**20


def squared_euclidean(x: Array, y: Array) -> Array:
  """The squared distance |x - y|^2 of two points, without a half.

  Args:
    x: [d] float.
    y: [d] float.

  Returns:
    [] float. Property: optimal transport by it is the squared 2-Wasserstein distance.
  """
  return jnp.sum((x - y) ** 2)


def euclidean(x: Array, y: Array) -> Array:
  """The distance |x - y| of two points.

  Args:
    x: [d] float.
    y: [d] float.

  Returns:
    [] float. Property: its gradient is 0, not NaN, where the points are the same.
  """
  return safe_sqrt(squared_euclidean(x, y))


def cosine(x: Array, y: Array) -> Array:
  """One minus the cosine of the angle between two points, seen from the origin.

  Args:
    x: [d] float.
    y: [d] float.

  Returns:
    [] float in [0, 2]; 1 if a point is the origin itself.
  """
  return 1 - jnp.sum(_direction(x) * _direction(y))


def cost_matrix(cost: Cost, x: Array, y: Array) -> Array:
  """The costs of all pairs.

  Args:
    cost: of two points.
    x: [n, d] float.
    y: [m, d] float. For distances, best both centred.

  Returns:
    [n, m] float. Property: `cost` of each pair, to rounding.
  """
  if cost in _OF_CLOUDS:
    return _OF_CLOUDS[cost](x, y)
  return jax.vmap(lambda x_i: jax.vmap(lambda y_j: cost(x_i, y_j))(y))(x)


def mean_cost(cost: Cost, x: Array, y: Array, a: Array, b: Array) -> Array:
  """The mean cost of independent points, sum_ij a_i b_j cost(x_i, y_j).

  Args:
    cost: of two points.
    x: [n, d] float.
    y: [m, d] float.
    a: [n] float, weights with sum 1.
    b: [m] float, likewise.

  Returns:
    [] float. For the squared distance in n + m steps, else a row at a time.
  """
  if cost is squared_euclidean:
    mean_x, mean_y = a @ x, b @ y
    spread_x = a @ jnp.sum((x - mean_x[None, :]) ** 2, axis=1)
    spread_y = b @ jnp.sum((y - mean_y[None, :]) ** 2, axis=1)
    return spread_x + spread_y + squared_euclidean(mean_x, mean_y)
  row = lambda x_i: cost_matrix(cost, x_i[None], y)[0] @ b
  return a @ jax.lax.map(row, x, batch_size=rows_at_a_time(len(y)))


def rows_at_a_time(m: int) -> int:
  """So many rows of m costs that they are about `BLOCK_ENTRIES`."""
  return max(1, BLOCK_ENTRIES // m)


def _cosine_of_clouds(x: Array, y: Array) -> Array:
  x, y = _direction(x), _direction(y)
  return 1 - jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)


_OF_CLOUDS = {
  squared_euclidean: squared_distances,
  euclidean: distances,
  cosine: _cosine_of_clouds,
}
DISTANCES = (squared_euclidean, euclidean)  # these do not change if both clouds move


def _direction(x: Array) -> Array:
  """x / |x|, and 0 at the origin."""
  norm = safe_sqrt(jnp.sum(x**2, axis=-1, keepdims=True))
  return x / jnp.where(norm > 0, norm, 1.0)
