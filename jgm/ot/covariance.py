"""Roots of covariances, with derivatives where eigenvalues repeat."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Array = jax.Array


def lyapunov(matrix: Array, right: Array) -> Array:
  """X with M X + X M = R, where M is symmetric and positive semi-definite.

  Args:
    matrix: [d, d] float, M.
    right: [d, d] float, R.

  Returns:
    [d, d] float. In the directions where M is singular it is zero. Its derivatives, of
    any order, are again solutions of such equations: none divides by a gap between
    eigenvalues.
  """

  def solve(_: Callable, right: Array) -> Array:
    values, vectors = jnp.linalg.eigh(matrix)
    values = jnp.maximum(values, 0.0)
    sums = values[:, None] + values[None, :]
    is_zero = sums <= len(values) * jnp.finfo(matrix.dtype).eps * values[-1]
    inside = dot(vectors.T, right, vectors) / jnp.where(is_zero, 1.0, sums)
    return dot(vectors, jnp.where(is_zero, 0.0, inside), vectors.T)

  product = lambda x: dot(matrix, x) + dot(x, matrix)
  # It is differentiated as the equation that it solves, and so not through eigh.
  return jax.lax.custom_linear_solve(product, right, solve, symmetric=True)


@jax.custom_jvp
def covariance_root(cov: Array) -> Array:
  """The symmetric root S of a covariance, S S = C.

  Args:
    cov: [d, d] float, symmetric; eigenvalues below zero count as zero.

  Returns:
    [d, d] float. Its derivative solves S dS + dS S = dC, so that eigenvalues may
    repeat; where C is singular the true one is infinite, and zero is put in its place.
  """
  values, vectors = jnp.linalg.eigh(cov)
  return dot(vectors * jnp.sqrt(jnp.maximum(values, 0.0))[None, :], vectors.T)


@covariance_root.defjvp
def _covariance_root_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
  root = covariance_root(*primals)
  return root, lyapunov(root, *tangents)


def rank_root(cov: Array) -> tuple[Array, Array]:
  """The root of a covariance and its pseudo-inverse, of its numerical rank.

  Eigenvalues below d eps of the greatest count as zero: rounding alone makes such, and
  an inverse would magnify them. Not to be differentiated.

  Args:
    cov: [d, d] float, symmetric.

  Returns:
    [d, d] and [d, d] float.
  """
  values, vectors = jnp.linalg.eigh(cov)
  is_zero = values <= len(values) * jnp.finfo(cov.dtype).eps * values[-1]
  root = jnp.sqrt(jnp.where(is_zero, 1.0, values))
  of = lambda values: dot(vectors * jnp.where(is_zero, 0.0, values)[None, :], vectors.T)
  return of(root), of(1.0 / root)


def dot(*matrices: Array) -> Array:
  """The product of matrices in full precision, also where the hardware offers less.

  Args:
    *matrices: each [d, d] float.

  Returns:
    [d, d] float.
  """
  return jnp.linalg.multi_dot(matrices, precision=jax.lax.Precision.HIGHEST)
