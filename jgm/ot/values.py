"""What a solution costs, and how that changes with the problem.

The derivative of the dual cost is the envelope theorem's: the potentials are at their
optimum, so that only the problem's own change counts.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jgm.ot.kernel import HIGHEST, MAX_EXPONENT, Potentials, wanted_sums
from jgm.ot.problem import Problem, scan_rows

Array = jax.Array


class Values(NamedTuple):
  """What one more look at the plan tells."""

  dual_cost: Array  # [], a lower bound of the optimum
  transport_cost: Array  # [] <P, C>
  error: Array  # [] L1, of both marginals


@jax.custom_jvp
def values_of(potentials: Potentials, problem: Problem) -> Values:
  """The costs of a plan given by its potentials, and how far its marginals are off.

  Args:
    potentials: of the problem.
    problem: the problem.

  Returns:
    Values. The dual cost is differentiated by the envelope theorem: with respect to the
    problem alone, as is right at the optimum, and without solving anything.
  """
  a, b = problem.a, problem.b
  times_b = lambda values: jnp.matmul(values, b, precision=HIGHEST)

  def block(sums: Array, costs: Array, f: Array, a: Array):
    exponents = exponents_of(costs, f)
    ratios = jnp.exp(exponents)
    rows = times_b(ratios), times_b(jnp.expm1(exponents)), times_b(ratios * costs)
    return sums + jnp.matmul(a, ratios, precision=HIGHEST), rows

  exponents_of = plan_exponents(potentials, problem)
  columns, found = scan_rows(problem, block, jnp.zeros_like(b), potentials.f, a)
  rows, excess, cost = found
  off_rows = rows - wanted_sums(potentials.f, problem.rho_a)
  off_columns = columns - wanted_sums(potentials.g, problem.rho_b)
  error = a @ jnp.abs(off_rows) + b @ jnp.abs(off_columns)
  dual_cost = _dual_cost(potentials, problem, a @ excess)
  return Values(dual_cost, a @ cost, error / problem.mean_mass())


@values_of.defjvp
def _(primals, tangents):
  (potentials, problem), (_, d_problem) = primals, tangents

  def dual_cost(problem: Problem) -> Array:
    excess = _sum(potentials, problem, lambda exponents, _: jnp.expm1(exponents))
    return _dual_cost(potentials, problem, excess)

  _, d_dual = jax.jvp(dual_cost, (problem,), (d_problem,))

  def transport_cost(potentials: Potentials, problem: Problem) -> Array:
    return _sum(
      potentials, problem, lambda exponents, costs: jnp.exp(exponents) * costs
    )

  _, d_cost = jax.jvp(transport_cost, primals, tangents)
  values = values_of(potentials, problem)
  return values, Values(d_dual, d_cost, jnp.zeros_like(values.error))


def plan_exponents(
  potentials: Potentials, problem: Problem
) -> Callable[[Array, Array], Array]:
  """(costs [R, m], f [R]) -> log(P_ij / (a_i b_j)), a block of rows at a time."""
  g, epsilon = potentials.g, problem.epsilon

  def exponents(costs: Array, f: Array) -> Array:
    return jnp.minimum((f[:, None] + g[None, :] - costs) / epsilon, MAX_EXPONENT)

  return exponents


def plan_ratios(
  potentials: Potentials, problem: Problem
) -> Callable[[Array, Array], Array]:
  """(costs [R, m], f [R]) -> P_ij / (a_i b_j), a block of rows at a time."""
  exponents_of = plan_exponents(potentials, problem)
  return lambda costs, f: jnp.exp(exponents_of(costs, f))


def _sum(
  potentials: Potentials, problem: Problem, term: Callable[[Array, Array], Array]
) -> Array:
  """sum_ij a_i b_j term(exponent_ij, C_ij)."""
  exponents_of = plan_exponents(potentials, problem)

  def block(_: tuple, costs: Array, f: Array):
    terms = term(exponents_of(costs, f), costs)
    return (), jnp.matmul(terms, problem.b, precision=HIGHEST)

  _, rows = scan_rows(problem, block, (), potentials.f)
  return problem.a @ rows


def _dual_cost(potentials: Potentials, problem: Problem, excess: Array) -> Array:
  """The dual objective, which no potentials bring above the optimum.

  `excess` is the plan's mass less that of a b^T, summed up as such: at large epsilon
  the difference of two sums would have no digits left.
  """
  of_a = problem.a @ _conjugate(potentials.f, problem.rho_a)
  of_b = problem.b @ _conjugate(potentials.g, problem.rho_b)
  return of_a + of_b - problem.epsilon * excess


def _conjugate(f: Array, rho: Array | None) -> Array:
  """f itself for an exact marginal; rho (1 - exp(-f / rho)) for a relaxed one."""
  return f if rho is None else -rho * jnp.expm1(-f / rho)
