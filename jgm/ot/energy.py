"""The energy distance between two weighted clouds, as a loss without a bandwidth."""

import jax
from jax.typing import ArrayLike

from jgm.ot.mmd import squared_mmd
from jgm.ot.points import distances

Array = jax.Array


def energy_distance(
  x: ArrayLike,
  y: ArrayLike,
  a: ArrayLike | None = None,
  b: ArrayLike | None = None,
  *,
  unbiased: bool = True,
  block_size: int | None = 1024,
) -> Array:
  """2 E|X - Y| - E|X - X'| - E|Y - Y'| between two weighted clouds.

  The squared MMD of the kernel -|x - y|. Where two points coincide, their term of the
  gradient is 0, the mean of its directions.

  Args:
    x: [n, d] float.
    y: [m, d] float.
    a: [n] weights >= 0 with sum 1; None: 1 / n each.
    b: [m] likewise.
    unbiased: whether a point's distance to itself is left out, as in `squared_mmd`.
    block_size: how many rows of distances exist at a time, as in `squared_mmd`.

  Returns:
    [] float in the unit of the points. Biased, it is >= 0, and zero for equal clouds;
    unbiased, its expectation is zero iff the distributions agree. Property: in float64
    it is `jgm.eval.energy_distance`, which measures where this trains.

  Raises:
    ValueError: as `squared_mmd`.

  Reference: Székely & Rizzo 2013. https://doi.org/10.1016/j.jspi.2013.03.018
  """
  kernel = lambda x, y: -distances(x, y)
  return squared_mmd(
    x, y, a, b, kernel=kernel, unbiased=unbiased, block_size=block_size
  )
