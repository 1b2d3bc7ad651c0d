"""The squared 2-Wasserstein distance between Gaussians, and its Bures part."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jgm.ot.covariance import covariance_root, dot
from jgm.ot.gaussian_map import map_slope
from jgm.ot.gaussians import check_covariances, check_gaussians

Array = jax.Array


def bures_wasserstein(
  mean_1: ArrayLike, cov_1: ArrayLike, mean_2: ArrayLike, cov_2: ArrayLike
) -> Array:
  """W_2^2 between two Gaussians: |mean_1 - mean_2|^2 + bures(cov_1, cov_2).

  Args:
    mean_1: [d] float.
    cov_1: [d, d] float, symmetric, positive semi-definite.
    mean_2: [d] float.
    cov_2: [d, d] float.

  Returns:
    [] float >= 0, zero iff the Gaussians agree.

  Raises:
    ValueError: if a shape does not match, or a known value is not finite or a known
      covariance is none.

  Reference: Peyré & Cuturi 2019, remark 2.31. https://arxiv.org/abs/1803.00567
  """
  mean_1, cov_1, mean_2, cov_2 = check_gaussians(mean_1, cov_1, mean_2, cov_2)
  return jnp.sum(jnp.square(mean_1 - mean_2)) + _bures(cov_1, cov_2)


def bures(cov_1: ArrayLike, cov_2: ArrayLike) -> Array:
  """The squared Bures distance: tr C_1 + tr C_2 - 2 tr (C_1^1/2 C_2 C_1^1/2)^1/2.

  Taken as a sum of squares, so that it keeps its digits where covariances are close.
  Its gradient in C_1 is I less the matrix of the map from 1 to 2, finite everywhere:
  where C_1 is singular and C_2 is not the true one is infinite, and the map's
  pseudo-inverse stands in for it. Two derivatives hold where both are regular.

  Args:
    cov_1: [d, d] float, symmetric, positive semi-definite.
    cov_2: [d, d] float.

  Returns:
    [] float >= 0. Property: the sum of (sigma_1 - sigma_2)^2 where both are diagonal.

  Raises:
    ValueError: as `bures_wasserstein`.

  Reference: Bhatia, Jain & Lim 2019. https://arxiv.org/abs/1712.01504
  """
  return _bures(*check_covariances(cov_1, cov_2))


@jax.custom_jvp
def _bures(cov_1: Array, cov_2: Array) -> Array:
  """|C_1^1/2 - C_2^1/2 U|^2, with the rotation U that makes it least."""
  root_1, root_2 = covariance_root(cov_1), covariance_root(cov_2)
  left, _, right = jnp.linalg.svd(dot(root_1, root_2))
  return jnp.sum(jnp.square(root_1 - dot(root_2, right.T, left.T)))


@_bures.defjvp
def _bures_jvp(covs: tuple, d_covs: tuple) -> tuple[Array, Array]:
  """By the envelope theorem: the best rotation may be held fixed."""
  zero = jnp.zeros((), covs[0].dtype)
  return _bures(*covs), map_slope(covs, d_covs, zero)
