"""The Fréchet distance between the Gaussians fitted to two sets of features.

Named for what it is: it is the FID only where the features are those of the Inception
network of 2015 (`jgm.eval.inception`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Moments(NamedTuple):
  """The mean and covariance of a set of features, in float64."""

  mean: np.ndarray  # [D]
  covariance: np.ndarray  # [D, D]


def feature_moments(features: ArrayLike) -> Moments:
  """The sample mean and the unbiased sample covariance of a set of features.

  Args:
    features: [N, D] float, N >= 2.

  Returns:
    Moments, float64: the mean [D] and the covariance [D, D], divided by N - 1.

  Raises:
    ValueError: if the features are not [N, D] with N >= 2, or not finite.
  """
  features = as_features(features, "features")
  if len(features) < 2:
    raise ValueError(f"a covariance needs 2 features or more; got {len(features)}")
  mean = features.mean(axis=0)
  centred = features - mean
  return Moments(mean, centred.T @ centred / (len(features) - 1))


def frechet_distance_of_moments(moments_1: Moments, moments_2: Moments) -> float:
  """The squared 2-Wasserstein distance between two Gaussians.

  |m_1 - m_2|^2 + tr(C_1) + tr(C_2) - 2 tr((C_1 C_2)^(1/2)). The last trace is the sum
  of the singular values of C_1^(1/2) C_2^(1/2): no root of a non-symmetric matrix is
  taken, so nothing turns complex, and a covariance of any rank will do.

  Args:
    moments_1: mean [D] and covariance [D, D], symmetric.
    moments_2: likewise.

  Returns:
    A float >= 0, zero iff the moments are equal; symmetric in its arguments.

  Raises:
    ValueError: if the shapes do not agree or a covariance is not symmetric.

  Reference: Dowson & Landau 1982, eq. 16; Heusel et al. 2017, eq. 6.
  https://arxiv.org/abs/1706.08500
  """
  mean_1, covariance_1 = checked_moments(moments_1)
  mean_2, covariance_2 = checked_moments(moments_2)
  if mean_1.shape != mean_2.shape:
    raise ValueError(
      f"the features differ in width: {mean_1.shape[0]} and {mean_2.shape[0]}"
    )
  cross = np.linalg.svd(
    symmetric_sqrt(covariance_1) @ symmetric_sqrt(covariance_2), compute_uv=False
  )
  spread = np.trace(covariance_1) + np.trace(covariance_2) - 2 * cross.sum()
  # Of equal moments, what is left is rounding of either sign.
  return max(0.0, float(np.sum((mean_1 - mean_2) ** 2) + spread))


def frechet_distance(features_1: ArrayLike, features_2: ArrayLike) -> float:
  """The Fréchet distance between two sets of features, in squared feature units.

  It shrinks as N grows, even between samples of one distribution: compare only numbers
  of equal N.

  Args:
    features_1: [N, D] float.
    features_2: [M, D] float.

  Returns:
    A float >= 0; zero for equal sets; unchanged by a common rotation or shift.

  Reference: as `frechet_distance_of_moments`.
  """
  return frechet_distance_of_moments(
    feature_moments(features_1), feature_moments(features_2)
  )


def symmetric_sqrt(covariance: np.ndarray) -> np.ndarray:
  """The symmetric root [D, D] of a positive semi-definite matrix [D, D].

  Args:
    covariance: [D, D], symmetric. Eigenvalues that are below zero, or within rounding
      of it, are taken as zero: a root would turn 1e-16 of rounding into 1e-8.

  Returns:
    [D, D] float64, whose square is `covariance`.
  """
  values, vectors = np.linalg.eigh(covariance)
  rounding = len(values) * np.finfo(values.dtype).eps * np.abs(values).max()
  return (vectors * np.sqrt(np.where(values > rounding, values, 0))) @ vectors.T


def as_features(features: ArrayLike, name: str) -> np.ndarray:
  """`features` as a finite float64 array [N, D], or an error that names it.

  Args:
    features: [N, D] numbers.
    name: what to call them in an error.

  Returns:
    [N, D] float64.

  Raises:
    ValueError: if they are not [N, D] with N, D >= 1, or not all finite.
  """
  features = np.asarray(features, np.float64)
  if features.ndim != 2 or 0 in features.shape:
    raise ValueError(f"{name} must be [N, D] and not empty; got {features.shape}")
  if not np.isfinite(features).all():
    raise ValueError(f"{name} holds values that are not finite")
  return features


def checked_moments(moments: Moments) -> Moments:
  """The moments in float64, once they are seen to fit together.

  Args:
    moments: mean [D] and covariance [D, D].

  Returns:
    Moments in float64.

  Raises:
    ValueError: if the shapes do not agree, or the covariance is not symmetric.
  """
  mean = np.asarray(moments.mean, np.float64)
  covariance = np.asarray(moments.covariance, np.float64)
  if mean.ndim != 1 or covariance.shape != 2 * mean.shape:
    raise ValueError(
      f"moments must be [D] and [D, D]; got {mean.shape} and {covariance.shape}"
    )
  if not np.allclose(covariance, covariance.T, rtol=1e-6, atol=1e-10):
    raise ValueError("the covariance is not symmetric (or not finite)")
  return Moments(mean, (covariance + covariance.T) / 2)
