"""The energy distance between two sets of points: zero only where they are alike."""

import numpy as np
from numpy.typing import ArrayLike

from jgm.eval.manifold import centred
from jgm.eval.neighbours import CHUNK, squared_distances


def energy_distance(
  points_1: ArrayLike, points_2: ArrayLike, *, unbiased: bool = True
) -> float:
  """2 E|X - Y| - E|X - X'| - E|Y - Y'|, in the unit of the points.

  Args:
    points_1: [N, D] float, N >= 2.
    points_2: [M, D] float, M >= 2.
    unbiased: whether a point's distance to itself is left out. Where it counts too, the
      distance is never below zero, so that it can be drawn on a logarithmic axis, and
      of equal distributions its mean is (1 / N + 1 / M) E|X - X'|.

  Returns:
    A float. If unbiased, its expectation is >= 0, and zero iff the distributions are
    equal: of equal ones it is below zero about half of the time. Symmetric in its
    arguments.

  Raises:
    ValueError: if the widths differ or a set holds fewer than 2 points.

  Reference: Székely & Rizzo 2013. https://doi.org/10.1016/j.jspi.2013.03.018
  It is the squared MMD of the kernel -|x - y|, of which this is the unbiased estimate:
  Gretton et al. 2012, eq. 3. https://jmlr.org/papers/v13/gretton12a.html
  """
  points_1, points_2 = centred(points_1, points_2)
  n, m = len(points_1), len(points_2)
  if min(n, m) < 2:
    raise ValueError("an energy distance needs 2 points or more in each set")
  return float(
    2 * sum_of_distances(points_1, points_2) / (n * m)
    - sum_of_distances(points_1, points_1) / (n * (n - unbiased))
    - sum_of_distances(points_2, points_2) / (m * (m - unbiased))
  )


def sum_of_distances(points_1: np.ndarray, points_2: np.ndarray) -> float:
  """The sum over all pairs of |x - y|, [N, D] and [M, D] in float64."""
  return sum(
    float(np.sqrt(squared_distances(points_1[start : start + CHUNK], points_2)).sum())
    for start in range(0, len(points_1), CHUNK)
  )
