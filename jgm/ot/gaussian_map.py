"""The optimal map between two Gaussians: affine, without entropy and with it."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jgm.ot.covariance import dot, lyapunov, rank_root
from jgm.ot.gaussians import check_covariances, check_epsilon, check_gaussians

Array = jax.Array


def gaussian_map_matrix(
  cov_1: ArrayLike, cov_2: ArrayLike, *, epsilon: ArrayLike = 0.0
) -> Array:
  """A, of the optimal map x -> mean_2 + A (x - mean_1) between two Gaussians.

  At epsilon > 0 it is the entropic map, the mean of y given x under the optimal plan.
  Its derivative holds where cov_1 is regular, and is zero where it is not.

  Args:
    cov_1: [d, d] float, symmetric, positive semi-definite.
    cov_2: [d, d] float.
    epsilon: [] >= 0, the weight of KL(P | a b^T) beside the cost |x - y|^2.

  Returns:
    [d, d] float, symmetric, positive semi-definite. Property:
    A C_1 A + epsilon / 2 A = C_2, and A = I where C_1 = C_2 and epsilon = 0.

  Raises:
    ValueError: as `bures_wasserstein`, and if a known epsilon is negative.

  Reference: Janati et al. 2020, theorem 1. https://arxiv.org/abs/2006.02572
  """
  cov_1, cov_2 = check_covariances(cov_1, cov_2)
  return map_matrix(cov_1, cov_2, check_epsilon(epsilon, cov_1, allow_zero=True) / 2)


def gaussian_map(
  mean_1: ArrayLike,
  cov_1: ArrayLike,
  mean_2: ArrayLike,
  cov_2: ArrayLike,
  *,
  epsilon: ArrayLike = 0.0,
) -> Callable[[Array], Array]:
  """The optimal map from one Gaussian to another: Monge's, or the entropic one.

  Args:
    mean_1: [d] float.
    cov_1: [d, d] float, symmetric, positive semi-definite.
    mean_2: [d] float.
    cov_2: [d, d] float.
    epsilon: [] >= 0, as in `gaussian_map_matrix`.

  Returns:
    [..., d] -> [..., d]. Property: at epsilon = 0 it carries the one Gaussian to the
    other.

  Raises:
    ValueError: as `bures_wasserstein`, and if a known epsilon is negative.
  """
  mean_1, cov_1, mean_2, cov_2 = check_gaussians(mean_1, cov_1, mean_2, cov_2)
  matrix = gaussian_map_matrix(cov_1, cov_2, epsilon=epsilon)

  def move(x: Array) -> Array:
    highest = jax.lax.Precision.HIGHEST
    along = lambda x: mean_2 + jnp.matmul(matrix, x - mean_1, precision=highest)
    return jnp.vectorize(along, signature="(d)->(d)")(x)

  return move


def map_slope(covs: Sequence[Array], d_covs: Sequence[Array], variance: Array) -> Array:
  """<I - A_12, dC_1> + <I - A_21, dC_2>, with A the matrices of the maps.

  How the optimal cost follows the covariances, by the envelope theorem.

  Args:
    covs: two of [d, d] float, symmetric.
    d_covs: two of [d, d] float.
    variance: [] >= 0, epsilon / 2.

  Returns:
    [] float.
  """
  (cov_1, cov_2), (d_cov_1, d_cov_2) = covs, d_covs
  one = jnp.eye(len(cov_1), dtype=cov_1.dtype)
  return jnp.vdot(one - map_matrix(cov_1, cov_2, variance), d_cov_1) + jnp.vdot(
    one - map_matrix(cov_2, cov_1, variance), d_cov_2
  )


@jax.custom_jvp
def map_matrix(cov_1: Array, cov_2: Array, variance: Array) -> Array:
  """The positive A with A C_1 A + variance A = C_2; see `gaussian_map_matrix`.

  Args:
    cov_1: [d, d] float, symmetric.
    cov_2: [d, d] float, symmetric.
    variance: [] >= 0, epsilon / 2.

  Returns:
    [d, d] float.
  """
  root_1, root_2 = rank_root(cov_1)[0], rank_root(cov_2)[0]
  _, s, right = jnp.linalg.svd(dot(root_1, root_2))
  # With C_1^1/2 C_2^1/2 = P s Q^T, A is C_2^1/2 Q diag(2 / scale) Q^T C_2^1/2.
  scale = jnp.hypot(2.0 * s, variance) + variance
  is_zero = scale <= len(s) * jnp.finfo(s.dtype).eps * s[0]
  inverse = jnp.where(is_zero, 0.0, 2.0 / jnp.where(is_zero, 1.0, scale))
  half = dot(root_2, right.T) * jnp.sqrt(inverse)[None, :]
  return dot(half, half.T)


@map_matrix.defjvp
def _map_matrix_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
  """The derivative of A C_1 A + variance A = C_2, seen between roots of C_1."""
  (cov_1, _, variance), (d_cov_1, d_cov_2, d_variance) = primals, tangents
  matrix = map_matrix(*primals)
  root, inverse = rank_root(cov_1)
  right = d_cov_2 - dot(matrix, d_cov_1, matrix) - d_variance * matrix
  one = jnp.eye(len(cov_1), dtype=cov_1.dtype)
  seen = lyapunov(
    dot(root, matrix, root) + 0.5 * variance * one, dot(root, right, root)
  )
  return matrix, dot(inverse, seen, inverse)
