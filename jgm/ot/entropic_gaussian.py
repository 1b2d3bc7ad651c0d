"""Entropic optimal transport between Gaussians, in closed form."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jgm.ot.bures import bures
from jgm.ot.covariance import covariance_root, dot
from jgm.ot.gaussian_map import map_matrix, map_slope
from jgm.ot.gaussians import check_epsilon, check_gaussians

Array = jax.Array


def entropic_gaussian_cost(
  mean_1: ArrayLike,
  cov_1: ArrayLike,
  mean_2: ArrayLike,
  cov_2: ArrayLike,
  *,
  epsilon: ArrayLike,
) -> Array:
  """min_P E|X - Y|^2 + epsilon KL(P | a b^T) between Gaussians a and b.

  The value of `sinkhorn` for infinitely many points. Unlike W_2^2 it is smooth in the
  covariances, singular ones too. (The paper's sigma^2 is epsilon / 2.)

  Args:
    mean_1: [d] float.
    cov_1: [d, d] float, symmetric, positive semi-definite.
    mean_2: [d] float.
    cov_2: [d, d] float.
    epsilon: [] > 0.

  Returns:
    [] float >= 0, and not zero for equal Gaussians. Property: it grows with epsilon,
    from W_2^2 to E|X - Y|^2 of independent X and Y.

  Raises:
    ValueError: if a shape does not match, or a known value is bad.

  Reference: Janati et al. 2020, theorem 1. https://arxiv.org/abs/2006.02572
  """
  mean_1, cov_1, mean_2, cov_2 = check_gaussians(mean_1, cov_1, mean_2, cov_2)
  variance = check_epsilon(epsilon, cov_1, allow_zero=False) / 2
  distance = jnp.sum(jnp.square(mean_1 - mean_2))
  return distance + _entropic_bures(cov_1, cov_2, variance)


def entropic_gaussian_divergence(
  mean_1: ArrayLike,
  cov_1: ArrayLike,
  mean_2: ArrayLike,
  cov_2: ArrayLike,
  *,
  epsilon: ArrayLike,
) -> Array:
  """The Sinkhorn divergence of two Gaussians: V(1, 2) - V(1, 1) / 2 - V(2, 2) / 2.

  V is `entropic_gaussian_cost`. A difference, it is good to some eps times the traces.

  Args:
    mean_1: [d] float.
    cov_1: [d, d] float, symmetric, positive semi-definite.
    mean_2: [d] float.
    cov_2: [d, d] float.
    epsilon: [] > 0.

  Returns:
    [] float >= 0 but for rounding, zero iff the Gaussians agree, and then with a
    gradient of zero.

  Raises:
    ValueError: if a shape does not match, or a known value is bad.

  Reference: Janati et al. 2020. https://arxiv.org/abs/2006.02572
  """
  mean_1, cov_1, mean_2, cov_2 = check_gaussians(mean_1, cov_1, mean_2, cov_2)
  variance = check_epsilon(epsilon, cov_1, allow_zero=False) / 2
  self_1 = _entropic_bures(cov_1, cov_1, variance)
  self_2 = _entropic_bures(cov_2, cov_2, variance)
  between = _entropic_bures(cov_1, cov_2, variance) - 0.5 * (self_1 + self_2)
  return jnp.sum(jnp.square(mean_1 - mean_2)) + between


def gaussian_potentials(
  mean_1: ArrayLike,
  cov_1: ArrayLike,
  mean_2: ArrayLike,
  cov_2: ArrayLike,
  *,
  epsilon: ArrayLike,
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
  """The dual potentials f and g between two Gaussians: quadratic functions.

  Args:
    mean_1: [d] float.
    cov_1: [d, d] float, symmetric, positive semi-definite.
    mean_2: [d] float.
    cov_2: [d, d] float.
    epsilon: [] > 0.

  Returns:
    f and g, each [..., d] -> [...], with E f(X) = E g(Y), half the cost: potentials are
    given up to a constant that goes from one to the other. Property:
    E exp((f(x) + g(Y) - |x - Y|^2) / epsilon) = 1 at every x, and the slope of f is
    2 (x - T(x)), with T `gaussian_map` at this epsilon.

  Raises:
    ValueError: if a shape does not match, or a known value is bad.

  Reference: Janati et al. 2020. https://arxiv.org/abs/2006.02572
  """
  mean_1, cov_1, mean_2, cov_2 = check_gaussians(mean_1, cov_1, mean_2, cov_2)
  cost = entropic_gaussian_cost(mean_1, cov_1, mean_2, cov_2, epsilon=epsilon)
  variance = check_epsilon(epsilon, cov_1, allow_zero=False) / 2
  return (
    _quadratic(mean_1, cov_1, mean_2, map_matrix(cov_1, cov_2, variance), cost / 2),
    _quadratic(mean_2, cov_2, mean_1, map_matrix(cov_2, cov_1, variance), cost / 2),
  )


def _quadratic(
  mean: Array, cov: Array, target: Array, matrix: Array, expectation: Array
) -> Callable[[Array], Array]:
  """The function of slope 2 (x - T(x)) whose mean over N(mean, cov) is given."""
  curvature = jnp.eye(len(mean), dtype=cov.dtype) - matrix
  constant = expectation - jnp.vdot(curvature, cov)

  def at(x: Array) -> Array:
    x = x - mean
    slope = jnp.matmul(curvature, x, precision=jax.lax.Precision.HIGHEST)
    return jnp.vdot(x, slope + 2.0 * (mean - target)) + constant

  return jnp.vectorize(at, signature="(d)->()")


@jax.custom_jvp
def _entropic_bures(cov_1: Array, cov_2: Array, variance: Array) -> Array:
  """The cost between centred Gaussians.

  The paper's, with D = (4 s^2 + variance^2)^1/2 and s the singular values of
  C_1^1/2 C_2^1/2, as the Bures distance and terms that are positive one by one: its own
  are large and cancel, at either end of epsilon.
  """
  s = jnp.linalg.svd(
    dot(covariance_root(cov_1), covariance_root(cov_2)), compute_uv=False
  )
  D = jnp.hypot(2.0 * s, variance)
  r = 4.0 * s**2 / (D + variance)  # D - variance
  spread = (r + 2.0 * s) / (D + 2.0 * s)
  information = jnp.log1p(r / (2.0 * variance))
  return bures(cov_1, cov_2) + variance * jnp.sum(spread + information)


@_entropic_bures.defjvp
def _entropic_bures_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
  """By the envelope theorem; in epsilon, the slope is the KL divergence of the plan."""
  *covs, variance = primals
  *d_covs, d_variance = tangents
  one = jnp.eye(len(covs[0]), dtype=covs[0].dtype)
  ratio = dot(covs[0], map_matrix(*covs, variance)) / variance
  information = jnp.linalg.slogdet(one + ratio)[1]
  change = map_slope(covs, d_covs, variance) + d_variance * information
  return _entropic_bures(*primals), change
