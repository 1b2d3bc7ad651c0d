"""Clouds of points: what shape they have, and how far apart their points lie."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jgm.ot.weights import is_known

Array = jax.Array

FEW = 4  # dimensions up to which differences are squared one by one


def check_points(x: ArrayLike, name: str, *, ndim: int = 2) -> Array:
  """Points as an array of floats, checked as far as they are known.

  Args:
    x: [n, d], or [n] where `ndim` is 1.
    name: what to call the points in an error.
    ndim: how many axes they must have.

  Returns:
    The same, float.

  Raises:
    ValueError: if the rank differs or there is no point; and, where the values are
      known, if one is NaN or infinite.
  """
  shape = np.shape(x)
  if len(shape) != ndim or 0 in shape:
    expected = ("[n]", "[n, d]")[ndim - 1]
    raise ValueError(f"{name} must have shape {expected}, none empty: {shape}")
  if is_known(x) and not np.all(np.isfinite(np.asarray(x, np.float64))):
    raise ValueError(f"{name} must be finite: a coordinate is NaN or infinite")
  x = jnp.asarray(x)
  if not jnp.issubdtype(x.dtype, jnp.floating):
    return x.astype(float)
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))  # halves are too coarse


def check_clouds(x: ArrayLike, y: ArrayLike, *, ndim: int = 2) -> tuple[Array, Array]:
  """Two clouds in one space, of one dtype: `check_points`, and equal widths.

  Args:
    x: [n, d] or [n].
    y: [m, d] or [m].
    ndim: how many axes they must have.

  Returns:
    Both, float.

  Raises:
    ValueError: as `check_points`, and if the widths differ.
  """
  x, y = check_points(x, "x", ndim=ndim), check_points(y, "y", ndim=ndim)
  if x.shape[1:] != y.shape[1:]:
    raise ValueError(f"x and y differ in width: {x.shape} and {y.shape}")
  dtype = jnp.promote_types(x.dtype, y.dtype)
  return x.astype(dtype), y.astype(dtype)


def squared_distances(x: Array, y: Array) -> Array:
  """|x_i - y_j|^2 of all pairs.

  In few dimensions from the differences, which is as exact as the points; in many by
  one product of matrices, where distances below sqrt(eps) of the norms are rounding.

  Args:
    x: [n, d] float, best centred.
    y: [m, d] float.

  Returns:
    [n, m] float >= 0, exactly zero between equal points.
  """
  if x.shape[1] <= FEW:
    columns = zip(x.T, y.T, strict=True)
    differences = (x_k[:, None] - y_k[None, :] for x_k, y_k in columns)
    return functools.reduce(jnp.add, map(jnp.square, differences))
  norms = jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)[None, :]
  products = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
  squared = norms - 2.0 * products
  # Where the norms cancel to their last digits, the points are the same.
  return jnp.where(squared > 8.0 * jnp.finfo(x.dtype).eps * norms, squared, 0.0)


def distances(x: Array, y: Array) -> Array:
  """|x_i - y_j| of all pairs, with the gradient 0 where two points coincide.

  Args:
    x: [n, d] float, best centred.
    y: [m, d] float.

  Returns:
    [n, m] float >= 0.
  """
  return safe_sqrt(squared_distances(x, y))


def safe_sqrt(squared: Array) -> Array:
  """The square root of numbers >= 0, whose derivative at 0 is 0."""
  # The root of 1 there: no branch then has a gradient that is not finite.
  positive = squared > 0.0
  return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)


def centred(x: Array, y: Array) -> tuple[Array, Array]:
  """Both clouds less the mean of all points: distances then lose fewer digits.

  Args:
    x: [n, d] float.
    y: [m, d] float.

  Returns:
    Both, moved alike.
  """
  total = jnp.sum(x, axis=0, keepdims=True) + jnp.sum(y, axis=0, keepdims=True)
  # Distances do not depend on it, so neither does their gradient.
  centre = jax.lax.stop_gradient(total / (len(x) + len(y)))
  return x - centre, y - centre
