"""Sinkhorn's algorithm: stabilised, from large to small epsilon, accelerated."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jgm.ot.anderson import History, anderson_step, no_history
from jgm.ot.kernel import (
  Potentials,
  Sweep,
  damping,
  log,
  log_iteration,
  log_weights,
  make_sweep,
  wanted_sums,
)
from jgm.ot.problem import Problem

Array = jax.Array

# exp(20) squared, times a number of float32 that was lost as 0, is still nothing.
MAX_DRIFT = 20.0
CHECK_EVERY = 10  # iterations between two errors that are reported
NOT_REACHED = -1.0  # the error at a check that was not needed
# Epsilon scaling: from this much of the mean cost on, down by this factor, each time
# to this error or for so many iterations. A larger epsilon needs none of it.
FIRST_EPSILON, DECAY, STAGE_ERROR, STAGE_ITERATIONS = 0.05, 0.25, 0.03, 50
# Where the residual hardly changes, acceleration would leap beyond all measure; and a
# step whose error grows by more than this factor is taken back.
MAX_LEAP, MAX_GROWTH = 5.0, 2.0
# The loop aims lower than it is asked to: what it returns is measured afresh.
MARGIN = 0.8


class Options(NamedTuple):
  """How to iterate."""

  tolerance: float
  max_iterations: int
  memory: int  # of Anderson's acceleration; 0: plain iterations
  scaling: bool  # whether to come from large epsilon


class Solution(NamedTuple):
  """Potentials, and what was seen on the way."""

  potentials: Potentials
  errors: Array  # [checks]
  iterations: Array  # [] int32


class _Loop(NamedTuple):
  """What one iteration hands to the next, at one epsilon and one reference."""

  phi: Array  # [n] (f - f_0) / epsilon, of the point before
  error: Array  # [] its
  psi: Array  # [m] (g - g_0) / epsilon, where to go on
  plain: Array  # [m] the same by a plain step
  errors: Array  # [checks]
  iterations: Array  # []
  history: History | None


class _Stage(NamedTuple):
  """What one epsilon, or one reference, hands to the next."""

  potentials: Potentials
  epsilon: Array
  errors: Array
  iterations: Array
  finished: Array  # [] bool
  reached: Array  # [] bool: this was the problem's own epsilon


def solve(problem: Problem, options: Options, initial: Potentials | None) -> Solution:
  """The potentials of a problem, as far as the iterations lead.

  Args:
    problem: what is to be solved.
    options: how.
    initial: where to begin; then epsilon is not scaled. None: at zero.

  Returns:
    A Solution.
  """
  n, m = problem.shape
  target = problem.epsilon
  dtype = target.dtype
  start = Potentials(jnp.zeros((n,), dtype), jnp.zeros((m,), dtype))
  first = target
  if initial is not None:
    start = Potentials(*initial)
  elif options.scaling:
    large = FIRST_EPSILON * problem.mean_cost()
    first = jnp.where(large > 2 * target, large, target)
  checks = -(-options.max_iterations // CHECK_EVERY)
  stage = _Stage(
    start,
    first,
    jnp.full((checks,), NOT_REACHED, dtype),
    jnp.zeros((), jnp.int32),
    jnp.asarray(False),
    jnp.asarray(False),
  )

  def go_on(stage: _Stage) -> Array:
    return ~stage.finished & (stage.iterations < options.max_iterations)

  stage = jax.lax.while_loop(go_on, lambda s: _stage(problem, options, s), stage)
  # Potentials of a larger epsilon, out of iterations, are first made safe for this one.
  potentials = jax.lax.cond(
    stage.reached,
    lambda potentials: potentials,
    lambda potentials: _absorbed(problem, potentials, target),
    stage.potentials,
  )
  return Solution(potentials, stage.errors, stage.iterations)


def _stage(problem: Problem, options: Options, stage: _Stage) -> _Stage:
  """Absorbs the potentials, and iterates until they drift or this epsilon is done."""
  epsilon = stage.epsilon
  is_last = epsilon <= problem.epsilon
  reference = _absorbed(problem, stage.potentials, epsilon)
  sweep = make_sweep(problem, reference, epsilon)
  first = stage.iterations + 1  # the one in the log-domain
  end = jnp.minimum(
    jnp.where(is_last, options.max_iterations, first + STAGE_ITERATIONS),
    options.max_iterations,
  )
  goal = jnp.where(is_last, MARGIN * options.tolerance, STAGE_ERROR)
  nothing = jnp.zeros(reference.g.shape, epsilon.dtype)
  loop = _Loop(
    jnp.zeros(reference.f.shape, epsilon.dtype),
    jnp.asarray(jnp.inf, epsilon.dtype),
    nothing,
    nothing,
    stage.errors,
    first,
    no_history(nothing, options.memory) if options.memory else None,
  )

  def go_on(loop: _Loop) -> Array:
    drift = jnp.maximum(jnp.max(jnp.abs(loop.phi)), jnp.max(jnp.abs(loop.plain)))
    return (loop.iterations < end) & (loop.error > goal) & (drift < MAX_DRIFT)

  # Rows are right, and columns off by a step; where f = g both, by twice the half step.
  sides = 2 if problem.symmetric else 1
  shorten, mass = damping(problem.rho_b, epsilon), problem.mean_mass()

  def step(loop: _Loop) -> _Loop:
    phi, plain = _plain_step(problem, sweep, reference, epsilon, loop.psi)
    wanted = wanted_sums(reference.g + epsilon * loop.psi, problem.rho_b)
    change = wanted * jnp.expm1(sides * (loop.psi - plain) / shorten)
    error = sides * (problem.b @ jnp.abs(change)) / mass
    return _accelerated(problem, loop, phi, plain, error)

  loop = jax.lax.while_loop(go_on, step, loop)
  # A plain step more can only be nearer, and is there already.
  phi = loop.plain if problem.symmetric else loop.phi
  potentials = Potentials(
    reference.f + epsilon * phi, reference.g + epsilon * loop.plain
  )
  next_epsilon = jnp.maximum(DECAY * epsilon, problem.epsilon)
  is_done = (loop.iterations >= end) | (loop.error <= goal)
  return _Stage(
    potentials,
    jnp.where(is_done, next_epsilon, epsilon),
    loop.errors,
    loop.iterations,
    is_last & (loop.error <= goal),
    is_last,
  )


def _absorbed(problem: Problem, potentials: Potentials, epsilon: Array) -> Potentials:
  """Potentials from which the kernel neither under- nor overflows."""
  f, g = log_iteration(problem, potentials.g, epsilon)
  rho_a, rho_b = problem.rho_a, problem.rho_b
  if rho_a is not None and rho_b is not None:
    # The best constant between f and g, which steps approach by epsilon / rho each
    # (Séjourné, Vialard & Peyré 2022, proposition 2).
    of_a = jax.nn.logsumexp(log_weights(problem.a) - f / rho_a)
    of_b = jax.nn.logsumexp(log_weights(problem.b) - g / rho_b)
    shift = rho_a * rho_b / (rho_a + rho_b) * (of_a - of_b)
    f, g = f + shift, g - shift
  if not problem.symmetric:
    return Potentials(f, g)
  mean = (f + potentials.g) / 2
  return Potentials(mean, mean)


def _plain_step(
  problem: Problem, sweep: Sweep, reference: Potentials, epsilon: Array, psi: Array
) -> tuple[Array, Array]:
  """The phi by which the rows are right, and then the psi by which the columns are."""
  phi, sums = sweep(problem.b * jnp.exp(psi))
  if problem.symmetric:
    # Half a step each: whole steps of one potential go back and forth for ever.
    return phi, (psi + phi) / 2
  shorten = damping(problem.rho_b, epsilon)
  psi = -shorten * log(sums)
  if problem.rho_b is not None:
    psi = psi + (shorten - 1) * reference.g / epsilon
  return phi, psi


def _accelerated(
  problem: Problem, loop: _Loop, phi: Array, plain: Array, error: Array
) -> _Loop:
  """The loop's next point; where acceleration has led astray, back and on plainly."""
  iterations = loop.iterations + 1
  found = _Loop(phi, error, plain, plain, loop.errors, iterations, None)
  if loop.history is None:
    return _with_check(found)
  psi, history = anderson_step(loop.history, loop.psi, plain, problem.b)
  leap = jnp.max(jnp.abs(psi - plain))
  psi = plain + (psi - plain) * jnp.minimum(1.0, MAX_LEAP / leap)
  found = found._replace(psi=psi, history=history)
  forget = jax.tree.map(jnp.zeros_like, history)
  back = loop._replace(psi=loop.plain, iterations=iterations, history=forget)
  is_good = error <= MAX_GROWTH * loop.error  # not so where it is NaN
  keep = lambda new, old: jnp.where(is_good, new, old)
  return _with_check(jax.tree.map(keep, found, back))


def _with_check(loop: _Loop) -> _Loop:
  """The same, its error noted if it is the last of ten iterations."""
  check = (loop.iterations - 1) // CHECK_EVERY
  return loop._replace(errors=loop.errors.at[check].set(loop.error))
