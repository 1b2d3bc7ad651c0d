"""The Sinkhorn divergence: entropic transport less its bias, a loss between clouds."""

from typing import Any, NamedTuple

import jax
from jax.typing import ArrayLike

from jgm.ot.costs import Cost, squared_euclidean
from jgm.ot.sinkhorn import SinkhornResult, sinkhorn, sinkhorn_with_itself

Array = jax.Array


class SinkhornDivergence(NamedTuple):
  """The divergence, and the three transports it is made of."""

  value: Array  # [], in the unit of the cost
  converged: Array  # [] bool, of all three
  xy: SinkhornResult
  xx: SinkhornResult
  yy: SinkhornResult


def sinkhorn_divergence(
  x: ArrayLike,
  y: ArrayLike,
  a: ArrayLike | None = None,
  b: ArrayLike | None = None,
  *,
  epsilon: ArrayLike,
  relative: bool = False,
  cost: Cost = squared_euclidean,
  tolerance: float = 1e-3,
  max_iterations: int = 2000,
  mode: str = "auto",
  block_size: int | None = None,
  initial: tuple[ArrayLike, ArrayLike] | None = None,
) -> SinkhornDivergence:
  """OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2, where OT is the entropic transport cost.

  Entropic transport alone is least where x has shrunk towards its mean. This is zero
  only where the clouds are equal, and lies between transport (epsilon to 0) and a
  squared MMD (epsilon to infinity).

  Args:
    x: [n, d] float.
    y: [m, d] float.
    a: [n] weights, as of `sinkhorn`, as are all that follow.
    b: [m] likewise.
    epsilon: likewise.
    relative: likewise; in mean costs between x and y, for all three.
    cost: likewise; symmetric, with a positive definite exp(-cost / epsilon).
    tolerance: likewise.
    max_iterations: likewise.
    mode: likewise.
    block_size: likewise.
    initial: potentials of x and y to begin with.

  Returns:
    A SinkhornDivergence. `value` has the gradient of the envelope theorem. Properties:
    symmetric, 0 for equal clouds and else > 0, as far as the transports converged.

  Raises:
    ValueError: as `sinkhorn`.

  Reference: Feydy et al. 2019, eq. 3 and theorem 1. https://arxiv.org/abs/1810.08278
  Genevay, Peyré & Cuturi 2018. https://arxiv.org/abs/1706.00292
  """
  solving: dict[str, Any] = {
    "cost": cost,
    "tolerance": tolerance,
    "max_iterations": max_iterations,
    "mode": mode,
    "block_size": block_size,
  }
  xy = sinkhorn(
    x, y, a, b, epsilon=epsilon, relative=relative, initial=initial, **solving
  )
  one = xy.problem.epsilon
  xx = sinkhorn_with_itself(x, a, epsilon=one, **solving)
  yy = sinkhorn_with_itself(y, b, epsilon=one, **solving)
  value = xy.dual_cost - (xx.dual_cost + yy.dual_cost) / 2
  return SinkhornDivergence(
    value, xy.converged & xx.converged & yy.converged, xy, xx, yy
  )
