"""An entropic transport problem: what is moved, at what cost, how blurred."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from einops import rearrange

from jgm.ot.costs import DISTANCES, Cost, cost_matrix, mean_cost
from jgm.ot.points import centred

Array = jax.Array
PyTree = Any


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=("x", "y", "matrix", "a", "b", "epsilon", "rho_a", "rho_b"),
  meta_fields=("cost", "block_size", "keep_kernel", "symmetric"),
)
@dataclasses.dataclass(frozen=True)
class Problem:
  """min_P <P, C> + epsilon KL(P | a b^T), the marginals of P being a and b.

  With `rho_a` the first marginal may differ from a, at the price rho_a KL(P 1 | a);
  with `rho_b` likewise the second.

  What says how to compute is part of it, so that whatever follows (the plan, the
  gradients) is computed like the solution.
  """

  x: Array | None  # [n, d] the points of the first cloud
  y: Array | None  # [m, d]
  matrix: Array | None  # [n, m] the costs, where they are given instead of points
  a: Array  # [n] weights
  b: Array  # [m]
  epsilon: Array  # []
  rho_a: Array | None = None  # []
  rho_b: Array | None = None  # []
  cost: Cost | None = None
  block_size: int = 0  # rows of the n x m costs that are in memory at a time
  keep_kernel: bool = True  # whether all n x m numbers of the kernel may be
  symmetric: bool = False  # whether both clouds are one, so that f = g

  @property
  def shape(self) -> tuple[int, int]:
    """(n, m)."""
    return self.a.shape[0], self.b.shape[0]

  @property
  def is_balanced(self) -> bool:
    """Whether both marginals are exact."""
    return self.rho_a is None and self.rho_b is None

  def mean_mass(self) -> Array:
    """The mean of both sums of weights, which is 1 where both marginals are exact."""
    return (jnp.sum(self.a) + jnp.sum(self.b)) / 2

  def clouds(self) -> tuple[Array, Array]:
    """The points; for distances around the origin, where fewer digits are lost."""
    assert self.x is not None and self.y is not None
    if self.cost not in DISTANCES:
      return self.x, self.y
    return centred(self.x, self.y)

  def mean_cost(self) -> Array:
    """sum_ij a_i b_j C_ij, of weights with sum 1: []."""
    sum_a, sum_b = jnp.sum(self.a), jnp.sum(self.b)
    a = self.a / jnp.where(sum_a > 0, sum_a, 1.0)
    b = self.b / jnp.where(sum_b > 0, sum_b, 1.0)
    if self.matrix is not None:
      return a @ (self.matrix @ b)
    assert self.cost is not None
    return mean_cost(self.cost, *self.clouds(), a, b)


def scan_rows(
  problem: Problem,
  body: Callable[..., tuple[PyTree, PyTree]],
  initial: PyTree,
  *per_row: Array,
  whole: bool = False,
) -> tuple[PyTree, PyTree]:
  """Goes over the rows of the cost matrix, a block at a time.

  Args:
    problem: its `block_size` says how many rows are a block.
    body: (carry, costs [R, m], *rows [R]) -> (carry, values [R]); costs that no row of
      the problem has come with zeros for rows.
    initial: the first carry.
    *per_row: [n] each.
    whole: whether all rows are one block instead.

  Returns:
    The last carry, and the values [n].
  """
  if problem.matrix is not None:
    rows, costs = problem.matrix, lambda rows: rows
  else:
    rows, y = problem.clouds()
    costs = lambda rows: cost_matrix(problem.cost, rows, y)  # type: ignore[arg-type]
  n = len(rows)
  if whole or problem.block_size >= n:
    return body(initial, costs(rows), *per_row)

  def blocks(values: Array) -> Array:
    padding = [(0, -n % problem.block_size)] + [(0, 0)] * (values.ndim - 1)
    # Each block has rows from all over: where rows are split over devices, all work.
    return rearrange(
      jnp.pad(values, padding), "(r k) ... -> k r ...", r=problem.block_size
    )

  # The costs of a block are computed again for its gradient, never kept.
  one = jax.checkpoint(lambda carry, block: body(carry, costs(block[0]), *block[1:]))
  carry, values = jax.lax.scan(one, initial, tuple(map(blocks, (rows, *per_row))))
  join = lambda leaf: rearrange(leaf, "k r ... -> (r k) ...")[:n]
  return carry, jax.tree.map(join, values)
