"""Potentials that follow their problem, by the implicit function theorem."""

import jax
import jax.numpy as jnp

from jgm.ot.kernel import HIGHEST, Potentials, damping, log
from jgm.ot.problem import Problem, scan_rows
from jgm.ot.values import plan_ratios

Array = jax.Array

CG_TOLERANCE = 1e-6  # of the linear systems, relative
CG_ITERATIONS = 1000


@jax.custom_jvp
def followed(potentials: Potentials, problem: Problem) -> Potentials:
  """The same potentials, which now follow the problem when it is differentiated.

  Args:
    potentials: solved ones.
    problem: theirs.

  Returns:
    The potentials. Their derivative solves the linearised conditions of both marginals
    by conjugate gradients; of balanced problems it is that up to a constant c in f + c,
    g - c.
  """
  del problem
  return potentials


@followed.defjvp
def _(primals, tangents):
  (potentials, problem), (_, d_problem) = primals, tangents
  solved = followed(potentials, problem)
  _, (d_f, d_g), ratios = jax.jvp(
    lambda problem: soft_transforms(solved, problem),
    (problem,),
    (d_problem,),
    has_aux=True,
  )
  return solved, _solve_linearised(solved, problem, ratios, d_f, d_g)


def soft_transforms(
  potentials: Potentials, problem: Problem
) -> tuple[Potentials, tuple[Array, Array]]:
  """What a step of f with g held, and one of g with f held, would make of them.

  Args:
    potentials: solved ones, so that no exponential overflows.
    problem: theirs.

  Returns:
    Potentials, equal to the given ones at the optimum; and (P 1) / a and (P^T 1) / b.
  """
  f, g = potentials
  rows, columns = _marginal_ratios(potentials, problem)
  new_f = f - problem.epsilon * log(rows)
  new_g = g - problem.epsilon * log(columns)
  new = Potentials(
    damping(problem.rho_a, problem.epsilon) * new_f,
    damping(problem.rho_b, problem.epsilon) * new_g,
  )
  return new, (rows, columns)


def _marginal_ratios(potentials: Potentials, problem: Problem) -> tuple[Array, Array]:
  """(P 1) / a and (P^T 1) / b, also where a weight is zero: [n], [m]."""
  ratios_of = plan_ratios(potentials, problem)

  def block(sums: Array, costs: Array, f: Array, a: Array):
    ratios = ratios_of(costs, f)
    row = jnp.matmul(ratios, problem.b, precision=HIGHEST)
    return sums + jnp.matmul(a, ratios, precision=HIGHEST), row

  start = jnp.zeros(potentials.g.shape, potentials.g.dtype)
  columns, rows = scan_rows(problem, block, start, potentials.f, problem.a)
  return rows, columns


def _solve_linearised(
  potentials: Potentials,
  problem: Problem,
  ratios: tuple[Array, Array],
  d_f: Array,
  d_g: Array,
) -> Potentials:
  """The change of the fixed point, from that of the two half-steps at it.

  x = d_f - lambda_a R y and y = d_g - lambda_b S x, where R and S are the plan with its
  rows, its columns divided by their sums. Without x, and with y in the unit in which it
  is symmetric, that is (1 - lambda_a lambda_b S R) y = d_g - lambda_b S d_f.
  """
  rows, columns = ratios
  shorten_a = damping(problem.rho_a, problem.epsilon)
  shorten_b = damping(problem.rho_b, problem.epsilon)
  unit = jnp.sqrt(problem.b / columns)  # of S R; that of y is sqrt(b columns)
  times_columns = jnp.sqrt(problem.b * columns)
  ratios_of = plan_ratios(potentials, problem)

  def there(y: Array) -> Array:  # R y, for y / sqrt(b columns)
    def block(_: tuple, costs: Array, f: Array):
      return (), jnp.matmul(ratios_of(costs, f), unit * y, precision=HIGHEST)

    _, sums = scan_rows(problem, block, (), potentials.f)
    return sums / rows

  def back(x: Array) -> Array:  # the sums of S x
    def block(sums: Array, costs: Array, f: Array, ax: Array):
      return sums + jnp.matmul(ax, ratios_of(costs, f), precision=HIGHEST), ()

    start = jnp.zeros(potentials.g.shape, potentials.g.dtype)
    sums, _ = scan_rows(problem, block, start, potentials.f, problem.a * x)
    return sums

  constant = times_columns / jnp.linalg.norm(times_columns)

  def without_constant(y: Array) -> Array:
    return y - constant * (constant @ y) if problem.is_balanced else y

  def system(y: Array) -> Array:
    y = without_constant(y)
    return without_constant(y - shorten_a * shorten_b * unit * back(there(y)))

  right = times_columns * (d_g - shorten_b * back(d_f) / columns)
  y = jax.lax.custom_linear_solve(
    system, without_constant(right), _conjugate_gradients, symmetric=True
  )
  x = d_f - shorten_a * there(y)
  found = Potentials(x, d_g - shorten_b * back(x) / columns)
  if not problem.symmetric:
    return found
  # They are one: what the system hardly determines, their difference, cancels.
  mean = (found.f + found.g) / 2
  return Potentials(mean, mean)


def _conjugate_gradients(system, right: Array) -> Array:
  solution, _ = jax.scipy.sparse.linalg.cg(
    system, right, tol=CG_TOLERANCE, maxiter=CG_ITERATIONS
  )
  return solution
