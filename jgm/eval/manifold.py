"""Whether samples lie where data lie, and data where samples lie.

A set's manifold is taken to be the union of balls about its points, each reaching to
the point's k-th nearest neighbour in the set.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jgm.eval.frechet import as_features
from jgm.eval.neighbours import CHUNK, nearest_neighbours, squared_distances


class PrecisionRecall(NamedTuple):
  """Shares in [0, 1]."""

  precision: float  # of the samples, those on the data's manifold
  recall: float  # of the data, those on the samples' manifold


class DensityCoverage(NamedTuple):
  """The same questions, less moved by outliers."""

  density: float  # data balls that hold a sample, over the k expected; may exceed 1
  coverage: float  # the share of data balls that hold any sample


def precision_recall(
  samples: ArrayLike, data: ArrayLike, *, k: int = 3
) -> PrecisionRecall:
  """Improved precision and recall of samples against data, shares in [0, 1].

  Args:
    samples: [N, D] float. Features of samples.
    data: [M, D] float. Features of data.
    k: the neighbour that a ball reaches to, not counting the point itself.

  Returns:
    PrecisionRecall; (1, 1) when the sets are equal, (0, 0) when they lie far apart.
    Exchanging the sets exchanges the two.

  Raises:
    ValueError: if the widths differ, or a set holds k points or fewer.

  Reference: Kynkäänniemi et al. 2019, section 2. https://arxiv.org/abs/1904.06991
  """
  samples, data = centred(samples, data)
  in_data_balls = balls_holding(samples, data, radii(data, k))
  in_sample_balls = balls_holding(data, samples, radii(samples, k))
  return PrecisionRecall(
    precision=float(np.mean(in_data_balls.by_point > 0)),
    recall=float(np.mean(in_sample_balls.by_point > 0)),
  )


def density_coverage(
  samples: ArrayLike, data: ArrayLike, *, k: int = 5
) -> DensityCoverage:
  """Density and coverage of samples against data.

  Args:
    samples: [N, D] float. Features of samples.
    data: [M, D] float. Features of data.
    k: the neighbour that a ball reaches to, not counting the point itself.

  Returns:
    DensityCoverage. For samples of the data's own distribution the density is about 1
    and the coverage about 1 - 2^-k (`expected_coverage`).

  Raises:
    ValueError: if the widths differ, or the data hold k points or fewer.

  Reference: Naeem et al. 2020, section 3. https://arxiv.org/abs/2002.09797
  """
  samples, data = centred(samples, data)
  held = balls_holding(samples, data, radii(data, k))
  return DensityCoverage(float(held.by_point.mean() / k), float(np.mean(held.by_ball)))


def expected_coverage(num_data: int, num_samples: int, *, k: int = 5) -> float:
  """The coverage to expect of samples from the data's own distribution.

  Args:
    num_data: the number of data points, M > k.
    num_samples: the number of samples, N.
    k: the neighbour that a ball reaches to.

  Returns:
    1 - (M - 1)...(M - k) / ((N + M - 1)...(N + M - k)), a share in [0, 1].

  Reference: Naeem et al. 2020, lemma 2. https://arxiv.org/abs/2002.09797
  """
  order = np.arange(1, k + 1)
  total = num_data + num_samples
  return float(1 - np.prod((num_data - order) / (total - order)))


class BallsHolding(NamedTuple):
  """Which balls hold which points, summed both ways."""

  by_point: np.ndarray  # [N] int: how many balls hold it
  by_ball: np.ndarray  # [M] bool: whether it holds any point


def balls_holding(
  points: np.ndarray, centres: np.ndarray, radius: np.ndarray
) -> BallsHolding:
  """Counts the closed balls about `centres` that hold each point.

  Args:
    points: [N, D].
    centres: [M, D].
    radius: [M].

  Returns:
    BallsHolding.
  """
  count, any_in_ball = [], np.zeros(len(centres), bool)
  for start in range(0, len(points), CHUNK):
    distance = np.sqrt(squared_distances(points[start : start + CHUNK], centres))
    inside = distance <= radius[None, :]
    count.append(inside.sum(axis=1))
    any_in_ball |= inside.any(axis=0)
  return BallsHolding(np.concatenate(count), any_in_ball)


def radii(points: np.ndarray, k: int) -> np.ndarray:
  """The distance [N] from each point to its k-th nearest other point.

  Args:
    points: [N, D], N > k.
    k: which neighbour.

  Returns:
    [N] float64.
  """
  return nearest_neighbours(points, points, k=k, exclude_self=True).distances[:, -1]


def centred(samples: ArrayLike, data: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
  """Both sets about the data's mean, where distances keep the most digits.

  Args:
    samples: [N, D].
    data: [M, D].

  Returns:
    Both in float64.

  Raises:
    ValueError: if the widths differ.
  """
  samples, data = as_features(samples, "samples"), as_features(data, "data")
  if samples.shape[1] != data.shape[1]:
    raise ValueError(
      f"the features differ in width: {samples.shape[1]} and {data.shape[1]}"
    )
  centre = data.mean(axis=0)
  return samples - centre, data - centre
