"""Sliced optimal transport: the mean over directions of the problem on a line."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jgm.ot.one_dimensional import check_power, wasserstein_1d
from jgm.ot.points import centred, check_clouds
from jgm.ot.weights import check_weights

Array = jax.Array


def sliced_wasserstein(
  x: ArrayLike,
  y: ArrayLike,
  a: ArrayLike | None = None,
  b: ArrayLike | None = None,
  *,
  key: Array,
  num_projections: int = 128,
  p: float = 2.0,
) -> Array:
  """SW_p^p between two clouds: the mean of W_p^p over directions drawn at random.

  An unbiased estimate of the mean over the whole sphere, in memory
  (n + m) num_projections.

  Args:
    x: [n, d] float.
    y: [m, d] float.
    a: [n] weights >= 0 with sum 1; None: 1 / n each.
    b: [m] likewise.
    key: typed PRNG key, of the directions.
    num_projections: how many directions, at least 1.
    p: the power of the distance, a Python number, at least 1.

  Returns:
    [] float >= 0, zero for equal clouds; not its p-th root. Property: between a cloud
    and itself moved by v, its expectation at p = 2 is |v|^2 / d.

  Raises:
    ValueError: if p < 1, num_projections < 1, a shape does not match, or known points
      or weights are bad.

  Reference: Bonneel et al. 2015. https://doi.org/10.1007/s10851-014-0506-3
  """
  check_power(p)
  if num_projections < 1:
    raise ValueError(f"num_projections must be at least 1: {num_projections}")
  x, y = check_clouds(x, y)
  # As None stays None, clouds of equal size keep to the short way.
  a = None if a is None else check_weights(a, len(x), "a", x.dtype)
  b = None if b is None else check_weights(b, len(y), "b", y.dtype)
  x, y = centred(x, y)
  directions = sphere(key, num_projections, x.shape[1], x.dtype)
  project = lambda points: jnp.matmul(
    directions, points.T, precision=jax.lax.Precision.HIGHEST
  )
  on_a_line = lambda x, y: wasserstein_1d(x, y, a, b, p=p)
  return jnp.mean(jax.vmap(on_a_line)(project(x), project(y)))


def sphere(
  key: Array, n: int, d: int, dtype: jax.typing.DTypeLike = jnp.float32
) -> Array:
  """Directions drawn uniformly: points on the unit sphere.

  Args:
    key: typed PRNG key.
    n: how many.
    d: the dimension of the space.
    dtype: of the result.

  Returns:
    [n, d] float, of norm 1.
  """
  normal = jax.random.normal(key, (n, d), dtype)
  return normal / jnp.linalg.norm(normal, axis=1, keepdims=True)
