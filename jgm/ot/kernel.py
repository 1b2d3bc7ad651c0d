"""The kernel of a transport problem, and both half-steps of Sinkhorn's algorithm by it.

With u = exp((f - f_0) / epsilon) and v = exp((g - g_0) / epsilon), the plan is
P_ij = a_i u_i K_ij v_j b_j, where

    K_ij = exp((f_0_i + g_0_j - C_ij) / epsilon)

has the reference potentials f_0 and g_0 absorbed in it. While u and v stay moderate,
nothing under- or overflows at any epsilon, and a step is two products with K (Schmitzer
2019, "Stabilized sparse scaling algorithms for entropy regularized transport problems",
sections 3.1 and 3.2). https://arxiv.org/abs/1610.06519
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jgm.ot.problem import Problem, scan_rows

Array = jax.Array
HIGHEST = jax.lax.Precision.HIGHEST

# exp of more could overflow in a product; only pairs of weight zero come so far.
MAX_EXPONENT = 60.0
NEVER = -1e30  # a logarithm of zero that can be subtracted from itself


class Potentials(NamedTuple):
  """The dual variables of both marginals, in the unit of the cost."""

  f: Array  # [n]
  g: Array  # [m]


class HalfSteps(NamedTuple):
  """What a sweep finds."""

  phi: Array  # [n] (f - f_0) / epsilon, by which the rows' condition holds
  column_sums: Array  # [m] sum_i a_i u_i K_ij


# (v [m] times the weights b) -> HalfSteps
Sweep = Callable[[Array], HalfSteps]


def damping(rho: Array | None, epsilon: Array) -> Array | float:
  """rho / (rho + epsilon), by which a relaxed marginal shortens a step; 1 if exact."""
  return 1.0 if rho is None else rho / (rho + epsilon)


def wanted_sums(potential: Array, rho: Array | None) -> Array | float:
  """The optimal sums of a marginal, over its weights: 1 if exact, or exp(-f / rho)."""
  return 1.0 if rho is None else jnp.exp(-potential / rho)


def make_sweep(problem: Problem, reference: Potentials, epsilon: Array) -> Sweep:
  """Both half-steps as a function, in one pass over the rows.

  Where the kernel is kept it is computed here, once; else block by block each time, and
  then every exponential serves both half-steps.

  Args:
    problem: its own epsilon is not used.
    reference: the absorbed potentials.
    epsilon: [].

  Returns:
    A Sweep.
  """
  f_0, g_0 = reference
  shorten = damping(problem.rho_a, epsilon)

  def kernel(costs: Array, f_0: Array) -> Array:
    exponent = (f_0[:, None] + g_0[None, :] - costs) / epsilon
    return jnp.exp(jnp.minimum(exponent, MAX_EXPONENT))

  def half_steps(sums: Array, K: Array, f_0: Array, a: Array, weighted_v: Array):
    phi = -shorten * log(jnp.matmul(K, weighted_v, precision=HIGHEST))
    if problem.rho_a is not None:
      phi = phi + (shorten - 1) * f_0 / epsilon
    return sums + jnp.matmul(a * jnp.exp(phi), K, precision=HIGHEST), phi

  nothing = jnp.zeros(g_0.shape, g_0.dtype)
  if problem.keep_kernel:
    one = lambda _, costs, f_0: ((), kernel(costs, f_0))
    _, K = scan_rows(problem, one, (), f_0, whole=True)

    def kept(weighted_v: Array) -> HalfSteps:
      sums, phi = half_steps(nothing, K, f_0, problem.a, weighted_v)
      return HalfSteps(phi, sums)

    return kept

  def recomputed(weighted_v: Array) -> HalfSteps:
    def block(sums: Array, costs: Array, f_0: Array, a: Array):
      return half_steps(sums, kernel(costs, f_0), f_0, a, weighted_v)

    sums, phi = scan_rows(problem, block, nothing, f_0, problem.a)
    return HalfSteps(phi, sums)

  return recomputed


def log_iteration(problem: Problem, g: Array, epsilon: Array) -> Potentials:
  """One iteration in the log-domain, safe from whatever g it starts.

  Args:
    problem: its own epsilon is not used.
    g: [m], in the unit of the cost.
    epsilon: [].

  Returns:
    The potentials after both half-steps. By them each row and each column of the kernel
    has an entry that is neither lost nor huge.
  """
  log_b = log_weights(problem.b)
  shorten_f = damping(problem.rho_a, epsilon)
  shorten_g = damping(problem.rho_b, epsilon)

  def block(carry: tuple[Array, Array], costs: Array, a: Array):
    top, sums = carry
    row = log_b[None, :] + (g[None, :] - costs) / epsilon
    row_top = _row_max(row)
    ones = jnp.ones_like(g)  # products are faster than sums along rows
    row_sums = jnp.matmul(jnp.exp(row - row_top[:, None]), ones, precision=HIGHEST)
    f = -shorten_f * epsilon * (row_top + jnp.log(row_sums))
    column = log_weights(a)[:, None] + (f[:, None] - costs) / epsilon
    new_top = jnp.maximum(top, jnp.max(column, axis=0))
    added = jnp.sum(jnp.exp(column - new_top[None, :]), axis=0)
    return (new_top, sums * jnp.exp(top - new_top) + added), f

  empty = tuple(jnp.full(g.shape, v, g.dtype) for v in (NEVER, 0.0))
  (top, sums), f = scan_rows(problem, block, empty, problem.a)
  return Potentials(f, -shorten_g * epsilon * (top + log(sums)))


def _row_max(values: Array) -> Array:
  """The maximum of each row, by halves: on CPUs faster than one number at a time."""
  while values.shape[1] > 1:
    half = (values.shape[1] + 1) // 2
    values = jnp.maximum(values[:, :half], values[:, -half:])
  return values[:, 0]


def log_weights(weights: Array) -> Array:
  """The logarithms of weights, of which some may be zero: finite."""
  return jnp.where(weights > 0, log(weights), NEVER)


def log(x: Array) -> Array:
  """The logarithm, finite where x has come to 0."""
  return jnp.log(jnp.maximum(x, jnp.finfo(x.dtype).tiny))
