"""Pairs drawn from a plan, such as noise for each example of a minibatch."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jgm.ot.costs import cost_matrix, squared_euclidean
from jgm.ot.plan import row_logits
from jgm.ot.points import centred, check_clouds
from jgm.ot.problem import scan_rows
from jgm.ot.sinkhorn import SinkhornResult, sinkhorn_on_matrix

Array = jax.Array

APART = 30.0  # a pair of two labels is less likely by this exponent, or more


def sample_coupling(key: Array, result: SinkhornResult) -> Array:
  """A partner in the second cloud for each point of the first, by the plan's rows.

  Args:
    key: typed PRNG key.
    result: of `sinkhorn`.

  Returns:
    [n] int32, j with the probability P_ij / sum_k P_ik. Each row is there once; point j
    is drawn n b_j times in expectation if a is uniform. Points of weight zero are never
    drawn. Memory is that of a block of rows.

  Reference: Tong et al. 2023. https://arxiv.org/abs/2302.00482
  """
  logits_of = row_logits(result)

  def draw(row: Array, logits: Array) -> Array:
    return jax.random.categorical(jax.random.fold_in(key, row), logits)

  def block(_: tuple, costs: Array, row: Array):
    return (), jax.vmap(draw)(row, logits_of(costs))

  rows = jnp.arange(len(result.f))
  return scan_rows(result.problem, block, (), rows)[1].astype(jnp.int32)


def minibatch_coupling(
  key: Array,
  x: ArrayLike,
  y: ArrayLike,
  *,
  label: ArrayLike | None = None,
  epsilon: float = 0.02,
  tolerance: float = 1e-2,
  max_iterations: int = 500,
) -> Array:
  """A partner y for each x of a minibatch, drawn from their entropic transport plan.

  Paths between such pairs hardly cross, so that a flow along them is nearly straight,
  and each cloud keeps its distribution. With labels, x_i and y_i both have label i, and
  pairs are made within a label alone: y then stays independent of the label, as it has
  to where a class is sampled from all of y's distribution.

  Args:
    key: typed PRNG key.
    x: [n, d] float.
    y: [n, d] float.
    label: [n] int; None couples all with all.
    epsilon: > 0, in mean costs |x - y|^2.
    tolerance: see `sinkhorn`.
    max_iterations: likewise.

  Returns:
    [n] int32, the row of y for each row of x. Property: to transport so costs less than
    to transport row i to row i, in expectation.

  Raises:
    ValueError: if the clouds differ in size, or as `sinkhorn`.

  Reference: Pooladian et al. 2023. https://arxiv.org/abs/2304.14772
  Tong et al. 2023. https://arxiv.org/abs/2302.00482
  Within a label: Cheng & Schwing 2025. https://arxiv.org/abs/2503.10636
  """
  x, y = check_clouds(x, y)
  if len(x) != len(y):
    raise ValueError(f"a minibatch has as many x as y: {len(x)} and {len(y)}")
  costs = cost_matrix(squared_euclidean, *centred(x, y))
  mean = jnp.mean(costs)
  # Where all points are one, any epsilon will do.
  mean = jnp.where(mean > 0, mean, 1.0)
  if label is not None:
    label = jnp.asarray(label)
    # No pair costs more than the largest cost: to trade partners never pays.
    apart = jnp.max(costs) + APART * epsilon * mean
    costs += apart * (label[:, None] != label[None, :])
  result = sinkhorn_on_matrix(
    costs,
    epsilon=epsilon * mean,
    tolerance=tolerance,
    max_iterations=max_iterations,
  )
  return sample_coupling(key, jax.lax.stop_gradient(result))
