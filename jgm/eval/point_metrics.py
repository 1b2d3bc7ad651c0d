"""The numbers of a set of points, each beside its floor, each with how it was got."""

from typing import NamedTuple

from numpy.typing import ArrayLike

from jgm.core.experiment import Scalar
from jgm.eval.floors import NUM_SUBSETS
from jgm.eval.frechet import as_features
from jgm.eval.image_metrics import DISTRIBUTION, Better
from jgm.eval.point_reference import PointReference, point_measures
from jgm.eval.point_warnings import point_warnings

# Which way is better, in the order of the table.
MODES: dict[str, Better] = {
  "modes_covered": "higher",
  "good_share": "higher",
  "mode_kl_nats": "lower",
}
BETTER: dict[str, Better] = {**MODES, "energy_distance": "lower", **DISTRIBUTION}
NOTES = {
  "modes_covered": "a mode counts with a third of its share within 3 sigma",
  "good_share": "within 3 sigma of a mode",
  "mode_kl_nats": "of the samples nearest to each mode, from the modes' weights",
  "frechet_distance": "sees the mean and the covariance alone",
}


class PointScores(NamedTuple):
  """What is known of a set of samples."""

  scalars: dict[str, Scalar]
  warnings: tuple[str, ...]


def point_scores(samples: ArrayLike, reference: PointReference) -> PointScores:
  """Every number of a set of samples, beside its floor and its ceiling.

  The floor is the same number for training points in the samples' place, the ceiling
  for points uniform over the range, where these do worse than real points.

  Args:
    samples: [N or more, D] float. The first N of the reference are measured.
    reference: of the data.

  Returns:
    PointScores.

  Raises:
    ValueError: if there are fewer than N samples, or they are of another shape or not
      finite.
  """
  n = reference.num_samples
  samples = as_features(samples, "samples")[:n]
  if samples.shape != reference.test.shape:
    raise ValueError(f"samples must be {reference.test.shape}; got {samples.shape}")
  measures = point_measures(samples, reference.test, reference.mixture)
  scalars = {
    name: Scalar(
      measures[name],
      reference.floors[name].mean,
      ceiling(name, better, reference),
      better,
      note(name, reference),
    )
    for name, better in BETTER.items()
    if name in measures
  }
  return PointScores(scalars, point_warnings(samples, measures, reference))


def ceiling(name: str, better: Better, reference: PointReference) -> float | None:
  """What uniform points score; None where the quantity does not tell them from real."""
  uniform, real = reference.ceilings[name], reference.floors[name].mean
  return uniform if (uniform > real) == (better == "lower") else None


def note(name: str, reference: PointReference) -> str:
  """What a quantity was measured with: N, the seed, how sure the floor is."""
  n, spread = reference.num_samples, reference.floors[name].spread
  measured = f"N={n}, seed {reference.seed}"
  if name not in MODES:
    measured = f"coordinates; N={n} against {n} test points, seed {reference.seed}"
  floor = f"floor ± {spread:.2g} over {NUM_SUBSETS} training subsets"
  return "; ".join([*filter(None, [NOTES.get(name)]), measured, floor])
