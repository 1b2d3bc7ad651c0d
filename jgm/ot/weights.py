"""The weights of a point cloud: a probability for each point, uniform by default."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

Array = jax.Array

TOLERANCE = 1e-4  # how far from 1 the sum may lie; see `sum_tolerance`


def check_weights(
  a: ArrayLike | None, n: int, name: str, dtype: jax.typing.DTypeLike | None = None
) -> Array:
  """Weights of n points as an array of floats, checked as far as they are known.

  Args:
    a: [n] >= 0 with sum 1, zeros allowed; None: 1 / n each.
    n: how many points there are.
    name: what to call the weights in an error.
    dtype: of the result; None: that of `a` if it is of floats, else the default float.

  Returns:
    [n] float. Known values are not normalised again. Property: traced weights (under
    jit, grad or vmap) are checked for their shape alone.

  Raises:
    ValueError: if n < 1 or the shape is not [n]; and, where the values are known, if
      one is negative or NaN or their sum is further from 1 than `sum_tolerance`.
  """
  if n < 1:
    raise ValueError(f"{name}: there are no points to weigh")
  if a is None:
    return jnp.full((n,), 1.0 / n, dtype or jnp.result_type(float))
  weights = check_masses(a, n, name, dtype)
  if is_known(a):
    _check_sum(np.asarray(a), name)
  return weights


def check_masses(
  a: ArrayLike | None, n: int, name: str, dtype: jax.typing.DTypeLike | None = None
) -> Array:
  """Masses of n points, whose sum may be any: else as `check_weights`.

  Args:
    a: [n] >= 0, not all zero; None: 1 / n each.
    n: how many points there are.
    name: what to call the masses in an error.
    dtype: of the result; None: that of `a` if it is of floats, else the default float.

  Returns:
    [n] float.

  Raises:
    ValueError: if n < 1 or the shape is not [n]; and, where the values are known, if
      one is negative, infinite or NaN, or all are zero.
  """
  if a is None or n < 1:
    return check_weights(None, n, name, dtype)
  if np.shape(a) != (n,):
    raise ValueError(f"{name} must have shape {(n,)}, one each point: {np.shape(a)}")
  if is_known(a):
    values = np.asarray(a)
    if not np.all((values >= 0) & (values < np.inf)):
      raise ValueError(f"{name} must be >= 0, finite and not NaN: {values.min()}")
    if not np.any(values > 0):
      raise ValueError(f"{name} has no mass: all of it is zero")
  weights = jnp.asarray(a)
  if dtype is None and not jnp.issubdtype(weights.dtype, jnp.floating):
    dtype = jnp.result_type(float)
  return weights.astype(dtype or weights.dtype)


def is_known(x: ArrayLike) -> bool:
  """Whether the values of an array can be looked at here and now.

  Not while jax traces, and not where another process holds a part of them.
  """
  if isinstance(x, jax.core.Tracer):
    return False
  return not isinstance(x, jax.Array) or x.is_fully_addressable


def sum_tolerance(a: ArrayLike | None) -> float:
  """How far from 1 the sum of weights may lie, by the dtype that they are given in.

  Args:
    a: [n] weights, known or traced; None: uniform ones.

  Returns:
    1e-4, or the rounding of a dtype that is coarser.
  """
  return TOLERANCE if a is None else max(TOLERANCE, rounding_of(a))


def rounding_of(a: ArrayLike) -> float:
  """The relative rounding of the dtype that an array is given in; 0 if of no floats."""
  dtype = a.dtype if isinstance(a, jax.Array) else np.asarray(a).dtype
  return float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.floating) else 0.0


def _check_sum(a: np.ndarray, name: str) -> None:
  total = float(np.sum(a, dtype=np.float64))
  if not abs(total - 1.0) <= sum_tolerance(a):
    raise ValueError(f"{name} must have sum 1; it is {total}")
