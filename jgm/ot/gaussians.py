"""Gaussians as means and covariances: what shape they have, and whether they are."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jgm.ot.points import check_points
from jgm.ot.weights import is_known, rounding_of

Array = jax.Array


def check_gaussians(
  mean_1: ArrayLike, cov_1: ArrayLike, mean_2: ArrayLike, cov_2: ArrayLike
) -> tuple[Array, Array, Array, Array]:
  """The means and covariances of two Gaussians as arrays of one width, checked.

  Args:
    mean_1: [d] float.
    cov_1: [d, d] float.
    mean_2: [d] float.
    cov_2: [d, d] float.

  Returns:
    The four, float.

  Raises:
    ValueError: if a shape does not match, or a known value is bad.
  """
  cov_1, cov_2 = check_covariances(cov_1, cov_2)
  means = check_points(mean_1, "mean_1", ndim=1), check_points(mean_2, "mean_2", ndim=1)
  for mean in means:
    if len(mean) != len(cov_1):
      raise ValueError(f"mean and covariance differ: {mean.shape} and {cov_1.shape}")
  return means[0], cov_1, means[1], cov_2


def check_covariances(cov_1: ArrayLike, cov_2: ArrayLike) -> tuple[Array, Array]:
  """Two covariances as arrays of one shape and dtype, checked.

  Args:
    cov_1: [d, d] float.
    cov_2: [d, d] float.

  Returns:
    Both, float.

  Raises:
    ValueError: as `check_covariance`, and if the shapes differ.
  """
  cov_1, cov_2 = check_covariance(cov_1, "cov_1"), check_covariance(cov_2, "cov_2")
  if cov_1.shape != cov_2.shape:
    raise ValueError(f"the covariances differ: {cov_1.shape} and {cov_2.shape}")
  dtype = jnp.promote_types(cov_1.dtype, cov_2.dtype)
  return cov_1.astype(dtype), cov_2.astype(dtype)


def check_epsilon(epsilon: ArrayLike, like: Array, *, allow_zero: bool) -> Array:
  """Epsilon as a scalar of the dtype of `like`; a ValueError if it is known and bad.

  Args:
    epsilon: [] float.
    like: any array of floats.
    allow_zero: whether zero, no entropy, has a meaning.

  Returns:
    [] float.
  """
  if np.shape(epsilon) != ():
    raise ValueError(f"epsilon must be one number: {np.shape(epsilon)}")
  if is_known(epsilon):
    value = float(np.asarray(epsilon))
    if not (0.0 < value < np.inf or (allow_zero and value == 0.0)):
      raise ValueError(f"epsilon must be positive and finite: {value}")
  return jnp.asarray(epsilon, like.dtype)


def check_covariance(cov: ArrayLike, name: str) -> Array:
  """A covariance as a symmetric array of floats, checked as far as it is known.

  Args:
    cov: [d, d] float.
    name: what to call it in an error.

  Returns:
    [d, d] float32, or float64 if it is that; the mean of it and its transpose.

  Raises:
    ValueError: if it is not square; and, where its values are known, if one is not
      finite, or it is not symmetric or has a negative eigenvalue, beyond rounding.
  """
  shape = np.shape(cov)
  if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 0:
    raise ValueError(f"{name} must have shape [d, d]: {shape}")
  if is_known(cov):
    _check_values(np.asarray(cov, np.float64), rounding_of(cov), name)
  cov = jnp.asarray(cov)
  if not jnp.issubdtype(cov.dtype, jnp.floating):
    cov = cov.astype(float)
  cov = cov.astype(jnp.promote_types(cov.dtype, jnp.float32))  # LAPACK has no halves
  return 0.5 * (cov + cov.T)


def _check_values(cov: np.ndarray, eps: float, name: str) -> None:
  if not np.all(np.isfinite(cov)):
    raise ValueError(f"{name} must be finite: an entry is NaN or infinite")
  rounding = max(1e-4, eps) * np.abs(cov).max()
  if np.abs(cov - cov.T).max() > rounding:
    raise ValueError(f"{name} must be symmetric")
  least = np.linalg.eigvalsh(cov)[0]
  if least < -rounding:
    raise ValueError(f"{name} must have no negative eigenvalue: {least}")
