"""The transport plan of a solution, and what is made of it without writing it out."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jgm.ot.kernel import HIGHEST, Potentials, log_weights
from jgm.ot.problem import scan_rows
from jgm.ot.sinkhorn import SinkhornResult
from jgm.ot.values import plan_ratios

Array = jax.Array


def plan(result: SinkhornResult) -> Array:
  """The plan P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon), written out.

  Args:
    result: of `sinkhorn`.

  Returns:
    [n, m] float, of which the rows sum to a and the columns to b, to `result.error`,
    unless they are relaxed.
  """
  problem = result.problem
  ratios_of = plan_ratios(Potentials(result.f, result.g), problem)

  def block(_: tuple, costs: Array, f: Array, a: Array):
    return (), a[:, None] * ratios_of(costs, f) * problem.b[None, :]

  return scan_rows(problem, block, (), result.f, problem.a)[1]


def apply_plan(result: SinkhornResult, values: ArrayLike, *, axis: int = 1) -> Array:
  """The plan times a vector, or several; n x m numbers are never kept at once.

  Args:
    result: of `sinkhorn`.
    values: [m] or [m, k] float; with axis 0 [n] or [n, k].
    axis: of the plan that is summed over: 1 for P v, 0 for P^T v.

  Returns:
    [n] or [n, k] float, P v; with axis 0 [m] or [m, k], P^T v.

  Raises:
    ValueError: if the axis is another or the shape does not match.
  """
  if axis not in (0, 1):
    raise ValueError(f"axis must be 0 or 1; got {axis}")
  problem = result.problem
  values = jnp.asarray(values, problem.a.dtype)
  size = problem.shape[axis]
  if values.ndim not in (1, 2) or len(values) != size:
    raise ValueError(f"values must have shape ({size},) or ({size}, k): {values.shape}")
  ratios_of = plan_ratios(Potentials(result.f, result.g), problem)
  columns = values.reshape(size, -1)

  if axis == 1:

    def row_block(_: tuple, costs: Array, f: Array, a: Array):
      weighted = problem.b[:, None] * columns
      return (), a[:, None] * jnp.matmul(
        ratios_of(costs, f), weighted, precision=HIGHEST
      )

    _, out = scan_rows(problem, row_block, (), result.f, problem.a)
  else:

    def column_block(sums: Array, costs: Array, f: Array, weighted: Array):
      return sums + jnp.matmul(ratios_of(costs, f).T, weighted, precision=HIGHEST), ()

    start = jnp.zeros((len(problem.b), columns.shape[1]), columns.dtype)
    weighted = problem.a[:, None] * columns
    sums, _ = scan_rows(problem, column_block, start, result.f, weighted)
    out = problem.b[:, None] * sums
  return out.reshape(-1, *values.shape[1:])


def barycentric_map(result: SinkhornResult, y: ArrayLike | None = None) -> Array:
  """Where each point of x goes on average: sum_j P_ij y_j / sum_j P_ij.

  Args:
    result: of `sinkhorn`.
    y: [m, k] float, what is averaged; None: the points of the second cloud.

  Returns:
    [n, k] float; also for points whose weight is zero. Property: the Monge map as
    epsilon goes to 0, where there is one.

  Raises:
    ValueError: if the shape does not match, or there are no points.
  """
  problem = result.problem
  if y is None and problem.y is None:
    raise ValueError("a solution for a cost matrix knows no points: give y")
  y = jnp.asarray(problem.y if y is None else y, problem.b.dtype)
  if y.ndim != 2 or len(y) != len(problem.b):
    raise ValueError(f"y must have shape ({len(problem.b)}, k): {y.shape}")
  logits_of = row_logits(result)

  def block(_: tuple, costs: Array):
    return (), jnp.matmul(jax.nn.softmax(logits_of(costs)), y, precision=HIGHEST)

  return scan_rows(problem, block, ())[1]


def row_logits(result: SinkhornResult) -> Callable[[Array], Array]:
  """The logarithms of a row's shares P_ij / sum_k P_ik, but for a constant of the row.

  Args:
    result: of `sinkhorn`.

  Returns:
    costs [R, m] -> [R, m]. Without f, which is the same for all of a row: a row may
    have next to no mass, where marginals are relaxed, and still has its shares.
  """
  log_b = log_weights(result.problem.b)
  epsilon = result.problem.epsilon
  return lambda costs: log_b[None, :] + (result.g[None, :] - costs) / epsilon
