"""Nearest neighbours, and what they say: is the model copying its training data?"""

from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from jgm.eval.frechet import as_features

# Rows per block: bounds the memory at CHUNK x M distances.
CHUNK = 1024


class Neighbours(NamedTuple):
  """For each point its nearest points in another set, the nearest first."""

  distances: np.ndarray  # [N, k] float64, Euclidean
  indices: np.ndarray  # [N, k] int


class Copying(NamedTuple):
  """How near samples lie to the training set, against how near fresh data lie."""

  ks_distance: float  # Kolmogorov-Smirnov distance between the two, in [0, 1]
  nearer: float  # its one-sided part: > 0 where samples lie nearer than fresh data
  near_share: float  # share of samples nearer than the nearest 1% of fresh data


def squared_distances(points_1: np.ndarray, points_2: np.ndarray) -> np.ndarray:
  """Squared Euclidean distances between all pairs.

  Args:
    points_1: [N, D] float64.
    points_2: [M, D] float64.

  Returns:
    [N, M] float64, >= 0; exactly zero between equal points.
  """
  norm_1 = np.sum(points_1**2, axis=1)[:, None]
  norm_2 = np.sum(points_2**2, axis=1)[None, :]
  squared = norm_1 + norm_2 - 2 * points_1 @ points_2.T
  # Where the norms cancel to their last digits, the points are the same.
  squared[squared < 1e-13 * (norm_1 + norm_2)] = 0.0
  return squared


def nearest_neighbours(
  points: ArrayLike, reference: ArrayLike, *, k: int = 1, exclude_self: bool = False
) -> Neighbours:
  """The k nearest points of a reference set, by Euclidean distance.

  Args:
    points: [N, D] float.
    reference: [M, D] float.
    k: how many neighbours, at most M.
    exclude_self: `points` is `reference`, and no point is its own neighbour. A
      duplicate of it still is.

  Returns:
    Neighbours: distances [N, k], ascending, and indices [N, k] into `reference`.

  Raises:
    ValueError: if the widths differ, or the reference holds fewer than k others.
  """
  points = as_features(points, "points")
  reference = as_features(reference, "reference")
  if points.shape[1] != reference.shape[1]:
    raise ValueError(
      f"the points differ in width: {points.shape[1]} and {reference.shape[1]}"
    )
  if not 1 <= k <= len(reference) - exclude_self:
    raise ValueError(f"{k} neighbours asked of a set of {len(reference)}")
  centre = reference.mean(axis=0)  # distances keep more digits about the centre
  moved, centred = points - centre, reference - centre
  found = [
    nearest_in_block(moved[start : start + CHUNK], centred, k, start, exclude_self)
    for start in range(0, len(moved), CHUNK)
  ]
  return Neighbours(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def nearest_in_block(
  block: np.ndarray, reference: np.ndarray, k: int, start: int, exclude_self: bool
) -> Neighbours:
  """The k nearest neighbours of one block of points.

  Args:
    block: [B, D]: rows `start` to `start + B` of the points.
    reference: [M, D].
    k: how many neighbours.
    start: the index of the first row of the block.
    exclude_self: as in `nearest_neighbours`.

  Returns:
    Neighbours of the block.
  """
  squared = squared_distances(block, reference)
  if exclude_self:
    rows = np.arange(len(block))
    squared[rows, start + rows] = np.inf
  indices = np.argpartition(squared, k - 1, axis=1)[:, :k]
  chosen = np.take_along_axis(squared, indices, axis=1)
  order = np.argsort(chosen, axis=1, kind="stable")
  return Neighbours(
    np.sqrt(np.take_along_axis(chosen, order, axis=1)),
    np.take_along_axis(indices, order, axis=1),
  )


def copying(sample_distances: ArrayLike, fresh_distances: ArrayLike) -> Copying:
  """Compares samples' distances to the training set with those of fresh real data.

  Args:
    sample_distances: [N] float. From each sample to its nearest training point.
    fresh_distances: [M] float. The same for data that were not trained on.

  Returns:
    Copying. Samples that are fresh data themselves have a `ks_distance` of the order
    of (1/N + 1/M)^(1/2) and a `near_share` of about 0.01; replayed training data have
    1 and 1.

  Raises:
    ValueError: if either is empty or not one-dimensional.

  Reference: Meehan et al. 2020, who compare the same distances, by the test of Mann and
  Whitney. https://arxiv.org/abs/2004.05675
  """
  samples = np.asarray(sample_distances, np.float64)
  fresh = np.asarray(fresh_distances, np.float64)
  if samples.ndim != 1 or fresh.ndim != 1 or not samples.size or not fresh.size:
    raise ValueError(
      f"distances must be [N] and [M], not empty; got {samples.shape}, {fresh.shape}"
    )
  both = scipy.stats.ks_2samp(samples, fresh, method="asymp")
  # "greater": the samples' distribution function lies above, their distances below.
  nearer = scipy.stats.ks_2samp(samples, fresh, "greater", method="asymp")
  near = samples < np.quantile(fresh, 0.01)
  return Copying(float(both.statistic), float(nearer.statistic), float(near.mean()))


def copied_share(images: ArrayLike, nearest: ArrayLike, *, tolerance: float) -> float:
  """The share of images that equal their nearest training image.

  Args:
    images: [N, ...] float.
    nearest: [N, ...] float. The training image nearest to each.
    tolerance: two images are equal where no pixel differs by more: half a grey level,
      so that images equal once they are written as grey levels count as copies.

  Returns:
    A share in [0, 1]: 1 for replayed training images.

  Raises:
    ValueError: if the shapes differ.
  """
  images, nearest = np.asarray(images), np.asarray(nearest)
  if images.shape != nearest.shape:
    raise ValueError(f"the shapes differ: {images.shape} and {nearest.shape}")
  differences = np.abs(images - nearest).reshape(len(images), -1)
  return float(np.mean(differences.max(axis=1) <= tolerance))
