"""Which modes of a known mixture samples reach: where a collapse shows first."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jgm.data.gaussian_mixture import GaussianMixture
from jgm.eval.frechet import as_features
from jgm.eval.neighbours import nearest_neighbours

REACH = 3  # standard deviations about a mode within which a sample is good
LEAST_SHARE = 1 / 3  # of a mode's weight, for which it counts as covered


class Modes(NamedTuple):
  """How samples are spread over the modes of a mixture."""

  covered: int  # modes with a third of their weight, or more, in good samples
  good_share: float  # of the samples, those within 3 sigma of a mode
  kl_nats: float  # KL(shares of the samples nearest to each mode || weights)
  shares: np.ndarray  # [K], of all samples, those that are good and nearest to a mode


def mode_coverage(samples: ArrayLike, mixture: GaussianMixture) -> Modes:
  """The modes that samples reach.

  Args:
    samples: [N, D] float.
    mixture: the distribution that they are to resemble; its modes lie apart.

  Returns:
    Modes. Of many exact samples in the plane all modes are covered, the good share is
    1 - exp(-9 / 2) = 0.989, and N times the KL is about (K - 1) / 2.

  Raises:
    ValueError: if the samples are not [N, D] and finite.

  The good share is that of Srivastava et al. 2017, section 4.1
  (https://arxiv.org/abs/1705.07761), where one good sample covers a mode already.
  """
  samples = as_features(samples, "samples")
  weights = np.asarray(mixture.weights, np.float64)
  mode, good = nearest_modes(samples, mixture)
  shares = np.bincount(mode[good], minlength=len(weights)) / len(samples)
  histogram = np.bincount(mode, minlength=len(weights)) / len(samples)
  seen = histogram > 0
  kl = np.sum(histogram[seen] * np.log(histogram[seen] / weights[seen]))
  covered = int(np.sum(shares >= LEAST_SHARE * weights))
  return Modes(covered, float(good.mean()), max(0.0, float(kl)), shares)


def nearest_modes(
  samples: np.ndarray, mixture: GaussianMixture
) -> tuple[np.ndarray, np.ndarray]:
  """The mode that each sample [N, D] is nearest to, and whether it is good: [N]."""
  nearest = nearest_neighbours(samples, np.asarray(mixture.means))
  mode, distance = nearest.indices[:, 0], nearest.distances[:, 0]
  return mode, distance <= REACH * mixture.scale
