"""The Gaussian kernel, of one or several bandwidths, and how to choose one."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jgm.ot.points import centred, check_clouds, distances, squared_distances
from jgm.ot.weights import is_known

Array = jax.Array


def gaussian_kernel(
  bandwidth: ArrayLike | Sequence[float],
) -> Callable[[Array, Array], Array]:
  """The sum over bandwidths h of exp(-|x - y|^2 / (2 h^2)), as a function of clouds.

  Args:
    bandwidth: [] or [k] > 0, in the unit of the points. Several, say a factor of 2
      apart, keep a gradient at every distance.

  Returns:
    ([n, d], [m, d]) -> [n, m] float in (0, k]. Property: k where points coincide.

  Raises:
    ValueError: if a known bandwidth is not positive, or there is none.

  Reference: Li et al. 2015, section 3. https://arxiv.org/abs/1502.02761
  """
  if all(map(is_known, jax.tree.leaves(bandwidth))):
    values = np.asarray(bandwidth, np.float64)
    if values.size == 0 or not np.all((values > 0.0) & np.isfinite(values)):
      raise ValueError(f"bandwidths must be positive and finite, one or more: {values}")

  def kernel(x: Array, y: Array) -> Array:
    squared = squared_distances(x, y)
    bandwidths = jnp.atleast_1d(jnp.asarray(bandwidth, x.dtype))
    terms = (jnp.exp(-squared / (2.0 * h**2)) for h in bandwidths)
    return functools.reduce(jnp.add, terms)

  return kernel


def median_bandwidth(x: ArrayLike, y: ArrayLike, *, max_points: int = 1024) -> Array:
  """The median distance between two different points of both clouds together.

  A constant to differentiation: a loss whose bandwidth follows its points can fall by
  moving the bandwidth.

  Args:
    x: [n, d] float.
    y: [m, d] float.
    max_points: of how many points, evenly spaced rows of both, distances are taken.

  Returns:
    [] float > 0: distances of zero do not count, and where there are no others it is 1.

  Raises:
    ValueError: if a shape does not match, known points are bad or max_points < 2.

  Reference: Gretton et al. 2012, section 8. https://jmlr.org/papers/v13/gretton12a.html
  """
  if max_points < 2:
    raise ValueError(f"a distance needs 2 points: max_points={max_points}")
  points = jnp.concatenate(centred(*check_clouds(x, y)))
  n = min(len(points), max_points)
  points = jax.lax.stop_gradient(points[np.arange(n) * len(points) // n])
  between = distances(points, points)[np.triu_indices(n, 1)]
  median = jnp.nanmedian(jnp.where(between > 0.0, between, jnp.nan))
  return jnp.where(jnp.isnan(median), 1.0, median)
