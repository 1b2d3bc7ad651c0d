"""What a solution costs, and how that changes with the problem.

The derivative of the dual cost is the envelope theorem's: the potentials are at their
optimum, so that only the problem's own change counts.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jgm.ot.kernel import HIGHEST, MAX_EXPONENT, Potentials
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

  def block(carry: tuple[Array, Array], costs: Array, f: Array, a: Array):
    sums, cost = carry
    ratios = ratios_of(costs, f)
    row = jnp.matmul(ratios, b, precision=HIGHEST)
    sums = sums + jnp.matmul(a, ratios, precision=HIGHEST)
    return (sums, cost + a @ jnp.matmul(ratios * costs, b, precision=HIGHEST)), row

  ratios_of = plan_ratios(potentials, problem)
  start = jnp.zeros_like(b), jnp.zeros_like(problem.epsilon)
  (columns, cost), rows = scan_rows(problem, block, start, potentials.f, a)
  wanted_rows, wanted_columns = _wanted(potentials, problem)
  off_rows, off_columns = rows - wanted_rows, columns - wanted_columns
  error = a @ jnp.abs(off_rows) + b @ jnp.abs(off_columns)
  return Values(_dual_cost(potentials, problem, a @ rows), cost, error)


@values_of.defjvp
def _(primals, tangents):
  (potentials, problem), (_, d_problem) = primals, tangents

  def dual_cost(problem: Problem) -> Array:
    return _dual_cost(potentials, problem, _mass(potentials, problem))

  _, d_dual = jax.jvp(dual_cost, (problem,), (d_problem,))
  transport_cost = lambda solved, problem: _mass(solved, problem, lambda costs: costs)
  _, d_cost = jax.jvp(transport_cost, primals, tangents)
  values = values_of(potentials, problem)
  return values, Values(d_dual, d_cost, jnp.zeros_like(values.error))


def plan_ratios(
  potentials: Potentials, problem: Problem
) -> Callable[[Array, Array], Array]:
  """The plan, a block of rows at a time: (costs [R, m], f [R]) -> P_ij / (a_i b_j)."""
  g, epsilon = potentials.g, problem.epsilon

  def ratios(costs: Array, f: Array) -> Array:
    exponent = (f[:, None] + g[None, :] - costs) / epsilon
    return jnp.exp(jnp.minimum(exponent, MAX_EXPONENT))

  return ratios


def _mass(
  potentials: Potentials, problem: Problem, per_unit: Callable = jnp.ones_like
) -> Array:
  """The total of the plan times a function of the costs, by default its mass."""
  ratios_of = plan_ratios(potentials, problem)

  def block(_: tuple, costs: Array, f: Array):
    weighted = ratios_of(costs, f) * per_unit(costs)
    return (), jnp.matmul(weighted, problem.b, precision=HIGHEST)

  _, rows = scan_rows(problem, block, (), potentials.f)
  return problem.a @ rows


def _dual_cost(potentials: Potentials, problem: Problem, mass: Array) -> Array:
  """The dual objective, which no potentials bring above the optimum."""
  f, g = potentials
  a, b, epsilon = problem.a, problem.b, problem.epsilon
  of_a = a @ _conjugate(f, problem.rho_a)
  product = jnp.sum(a) * jnp.sum(b)
  return of_a + b @ _conjugate(g, problem.rho_b) - epsilon * (mass - product)


def _conjugate(f: Array, rho: Array | None) -> Array:
  """f itself for an exact marginal; rho (1 - exp(-f / rho)) for a relaxed one."""
  return f if rho is None else -rho * jnp.expm1(-f / rho)


def _wanted(potentials: Potentials, problem: Problem) -> tuple[Array, Array]:
  """The marginals over a and b: 1 where exact; as the potentials say where relaxed."""
  f, g = potentials
  wanted = lambda f, rho: jnp.ones_like(f) if rho is None else jnp.exp(-f / rho)
  return wanted(f, problem.rho_a), wanted(g, problem.rho_b)
