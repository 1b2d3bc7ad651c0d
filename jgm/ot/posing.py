"""From what a user gives to a solved problem: checks, choices, and the one program."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jgm.ot.costs import Cost, rows_at_a_time
from jgm.ot.implicit import followed
from jgm.ot.kernel import Potentials
from jgm.ot.problem import Problem
from jgm.ot.solver import Options, solve
from jgm.ot.values import values_of
from jgm.ot.weights import check_masses, check_weights, is_known, sum_tolerance

Array = jax.Array

MODES = ("auto", "kernel", "online")
KERNEL_ENTRIES = 2**28  # n m up to which "auto" keeps the kernel: 1 GiB of float32


class SinkhornResult(NamedTuple):
  """A plan by its potentials: P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon).

  `plan`, `apply_plan` and `barycentric_map` make of it what is asked.
  """

  f: Array  # [n], in the unit of the cost; <a, f> = <b, g> if no marginal is relaxed
  g: Array  # [m]
  dual_cost: Array  # [] what is minimised, from below
  transport_cost: Array  # [] <P, C>
  # [] sum_i |(P 1 - a)_i| + sum_j |(P^T 1 - b)_j|; of a relaxed marginal, whose sums
  # are to be a exp(-f / rho), from those; over the mean of both masses
  error: Array
  # [checks] that after each 10 iterations, at the epsilon that they had come to; -1
  # where they did not come
  errors: Array
  iterations: Array  # [] int32
  converged: Array  # [] bool: the error is at most the tolerance
  problem: Problem  # what was solved


class Given(NamedTuple):
  """What may be traced."""

  x: Array | None
  y: Array | None
  matrix: Array | None
  a: Any
  b: Any
  epsilon: Any
  rho_a: Any
  rho_b: Any
  initial: Any


class Choices(NamedTuple):
  """What must be known."""

  cost: Cost | None
  relative: bool
  mode: str
  block_size: int | None
  symmetric: bool = False
  sum_tolerance: float = 0.0  # how far from 1 the weights' sums may lie


def pose_and_solve(given: Given, choices: Choices, options: Options) -> SinkhornResult:
  """Raises for what can be known before compilation, then solves."""
  if choices.mode not in MODES:
    raise ValueError(f"unknown mode {choices.mode!r}: it is one of {', '.join(MODES)}")
  if choices.block_size is not None and choices.block_size < 1:
    raise ValueError(f"block_size must be at least 1; got {choices.block_size}")
  if options.max_iterations < 1:
    raise ValueError(f"max_iterations must be at least 1; got {options.max_iterations}")
  if not 0 <= options.tolerance < np.inf:
    raise ValueError(f"tolerance must be >= 0 and finite; got {options.tolerance}")
  for name in ("epsilon", "rho_a", "rho_b"):
    value = getattr(given, name)
    if value is not None:
      _check_positive(value, name)
  n, m, dtype = _size(given)
  is_balanced = given.rho_a is None and given.rho_b is None
  check = check_weights if is_balanced else check_masses
  tolerance = max(sum_tolerance(given.a), sum_tolerance(given.b))
  choices = choices._replace(sum_tolerance=tolerance)
  a = check(given.a, n, "a", dtype)
  b = check(given.b, m, "b", dtype)
  if given.initial is not None:
    shapes = tuple(np.shape(potential) for potential in given.initial)
    if shapes != ((n,), (m,)):
      raise ValueError(f"initial must have shapes {((n,), (m,))}: {shapes}")
  as_floats = lambda value: None if value is None else jnp.asarray(value, dtype)
  rest = jax.tree.map(as_floats, tuple(given[5:]))
  return _solved(Given(*given[:3], a, b, *rest), choices, options)


def _size(given: Given) -> tuple[int, int, np.dtype]:
  if given.matrix is not None:
    n, m = given.matrix.shape
    return n, m, given.matrix.dtype
  assert given.x is not None and given.y is not None
  return len(given.x), len(given.y), given.x.dtype


def _check_positive(value: ArrayLike, name: str) -> None:
  if np.shape(value) != ():
    raise ValueError(f"{name} must be one number; its shape is {np.shape(value)}")
  if is_known(value) and not 0 < np.asarray(value) < np.inf:
    raise ValueError(f"{name} must be > 0 and finite; got {np.asarray(value)}")


@functools.partial(jax.jit, static_argnums=(1, 2))
def _solved(given: Given, choices: Choices, options: Options) -> SinkhornResult:
  problem, valid = _problem(given, choices)
  constant = jax.lax.stop_gradient(problem)
  initial = jax.tree.map(_finite, jax.lax.stop_gradient(given.initial))
  solution = solve(constant, options, initial)
  potentials = _centred(followed(solution.potentials, problem), problem)
  values = values_of(potentials, problem)
  return SinkhornResult(
    *potentials,
    *values,
    errors=solution.errors,
    iterations=solution.iterations,
    converged=valid & (values.error <= options.tolerance),
    problem=problem,
  )


def _finite(potential: Array) -> Array:
  """Where to begin is no part of the problem: where it is not finite, at 0."""
  return jnp.where(jnp.isfinite(potential), potential, 0.0)


def _problem(given: Given, choices: Choices) -> tuple[Problem, Array]:
  """The problem with what is not valid taken out of it, and whether nothing was."""
  valid = jnp.asarray(True)

  def sane(value: Any, is_valid: Any, instead: float) -> Any:
    nonlocal valid
    if value is None:
      return None
    fine = is_valid(value)
    valid &= jnp.all(fine)
    return jnp.where(fine, value, instead)

  positive = lambda value: (value > 0) & (value < jnp.inf)
  weight = lambda value: (value >= 0) & (value < jnp.inf)
  # Of larger numbers, the squares overflow.
  small = lambda value: jnp.abs(value) < jnp.finfo(value.dtype).max ** 0.5 / 1e3
  x, y, matrix = (sane(value, small, 0.0) for value in given[:3])
  a, b = (sane(value, weight, 0.0) for value in (given.a, given.b))
  epsilon, rho_a, rho_b = (sane(value, positive, 1.0) for value in given[5:8])
  n, m, _ = _size(given)
  block_size = choices.block_size or rows_at_a_time(m)
  keep_kernel = choices.mode == "kernel" or (
    choices.mode == "auto" and n * m <= KERNEL_ENTRIES
  )
  problem = Problem(
    *(x, y, matrix, a, b, epsilon, rho_a, rho_b),
    cost=choices.cost,
    block_size=min(n, block_size),
    keep_kernel=keep_kernel,
    symmetric=choices.symmetric,
  )
  sum_a, sum_b = jnp.sum(a), jnp.sum(b)
  if problem.is_balanced:
    most = choices.sum_tolerance
    valid &= (jnp.abs(sum_a - 1) <= most) & (jnp.abs(sum_b - 1) <= most)
    # What is left of the difference could never be transported.
    whole = lambda weights, total: weights / jnp.where(total > 0, total, 1.0)
    problem = dataclasses.replace(problem, a=whole(a, sum_a), b=whole(b, sum_b))
  valid &= (sum_a > 0) & (sum_b > 0)
  if choices.relative:
    scale = jax.lax.stop_gradient(problem.mean_cost())
    valid &= scale >= 0
    # If all points are the same, any epsilon gives the same plan.
    scale = jnp.where(scale > 0, scale, 1.0)
    problem = dataclasses.replace(problem, epsilon=epsilon * scale)
  return problem, valid


def _centred(potentials: Potentials, problem: Problem) -> Potentials:
  """Those with <a, f> = <b, g>; of relaxed marginals no constant is free."""
  f, g = potentials
  if not problem.is_balanced:
    return potentials
  shift = (problem.b @ g - problem.a @ f) / 2
  return Potentials(f + shift, g - shift)
