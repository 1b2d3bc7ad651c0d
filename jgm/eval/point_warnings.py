"""What a person must know of a set of points: modes lost, parts not reached.

Thresholds are set so that fresh real points give no warning (a test holds this).
"""

import numpy as np

from jgm.data.gaussian_mixture import GaussianMixture
from jgm.eval.image_warnings import warn_of_little_overlap
from jgm.eval.manifold import balls_holding, radii
from jgm.eval.measures import Measures
from jgm.eval.modes import LEAST_SHARE, mode_coverage, nearest_modes
from jgm.eval.point_reference import PointReference

# A mode of which fewer are expected may have lost two thirds of them by chance.
MIN_EXPECTED = 20
NUM_LISTED = 10
LEAST_SPREAD = 1 / 2  # of a mode's standard deviation


def point_warnings(
  samples: np.ndarray, measures: Measures, reference: PointReference
) -> tuple[str, ...]:
  """Sentences for a person; none for fresh real points.

  Args:
    samples: [N, D] float.
    measures: of the samples.
    reference: the same quantities of real points.

  Returns:
    The warnings, the gravest first.
  """
  mixture = reference.mixture
  if mixture is None:
    lost = warn_of_missing_parts(samples, reference)
  else:
    lost = (
      *warn_of_lost_modes(samples, mixture),
      *warn_of_narrow_modes(samples, mixture),
    )
  return (*lost, *warn_of_little_overlap(measures, reference.floors))


def warn_of_lost_modes(
  samples: np.ndarray, mixture: GaussianMixture
) -> tuple[str, ...]:
  """Says which modes have less than a third of their weight in good samples."""
  weights, shares = np.asarray(mixture.weights), mode_coverage(samples, mixture).shares
  expected = weights * len(samples) >= MIN_EXPECTED
  lost = np.flatnonzero(expected & (shares < LEAST_SHARE * weights))
  if not lost.size:
    return ()
  places = np.round(mixture.means, 2) + 0.0  # no mode is at "-0"
  listed = ", ".join(
    f"({', '.join(f'{x:g}' for x in places[k])}) {shares[k]:.1%}"
    for k in lost[:NUM_LISTED]
  )
  more = ", ..." if lost.size > NUM_LISTED else ""
  return (
    f"collapse: {lost.size} of {weights.size} modes have less than a third of their "
    f"share of samples: {listed}{more}",
  )


def warn_of_narrow_modes(
  samples: np.ndarray, mixture: GaussianMixture
) -> tuple[str, ...]:
  """Says so where good samples lie closer together than the modes are wide."""
  mode, good = nearest_modes(samples, mixture)
  groups = [samples[good & (mode == k)] for k in np.unique(mode[good])]
  freedom = sum(len(each) - 1 for each in groups)
  if freedom < MIN_EXPECTED:
    return ()
  squares = sum(np.sum((each - each.mean(axis=0)) ** 2) for each in groups)
  ratio = np.sqrt(squares / (freedom * samples.shape[1])) / mixture.scale
  if ratio >= LEAST_SPREAD:
    return ()
  return (f"collapse: within the modes, samples spread {ratio:.1%} as far as the data",)


def warn_of_missing_parts(
  samples: np.ndarray, reference: PointReference
) -> tuple[str, ...]:
  """Says which classes of the data have neighbourhoods that samples seldom reach."""
  test, label = reference.test, reference.label
  reached = balls_holding(samples, test, radii(test, 5)).by_ball
  parts = [k for k in np.unique(label) if np.sum(label == k) >= MIN_EXPECTED]
  share = {k: reached[label == k].mean() for k in parts}
  usual = reference.floors["coverage"].mean
  missing = [k for k in parts if share[k] < usual / 4]
  if not missing:
    return ()
  listed = ", ".join(f"{share[k]:.1%} of class {k}" for k in missing[:NUM_LISTED])
  return (
    f"collapse: the samples hardly reach {len(missing)} of the data's "
    f"{reference.spec.num_classes} classes: of the neighbourhoods, {listed} (of fresh "
    f"real data: {usual:.1%})",
  )
