"""What points are measured against: held-out points, and real against real."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jgm.core.experiment import Batch
from jgm.data.gaussian_mixture import GaussianMixture
from jgm.data.spec import DataSpec
from jgm.eval.energy_distance import energy_distance
from jgm.eval.floors import Floor, draw_subsets, floors, num_compared
from jgm.eval.frechet import as_features, frechet_distance
from jgm.eval.manifold import density_coverage, precision_recall
from jgm.eval.measures import Measures
from jgm.eval.modes import mode_coverage

# Distances between all pairs: so many points take a second, and place a share to 1%.
MAX_POINTS = 2000


class PointReference(NamedTuple):
  """Real points, and what was measured of them."""

  spec: DataSpec
  mixture: GaussianMixture | None  # what they were drawn from, where it is known
  seed: int  # of the subsets and of the ceiling's points
  test: np.ndarray  # [N, D] float64
  label: np.ndarray  # [N] int, of the test points
  floors: Mapping[str, Floor]
  ceilings: Measures  # of points uniform over the spec's range

  @property
  def num_samples(self) -> int:
    """How many samples are compared with as many held-out points, N."""
    return len(self.test)


def make_point_reference(
  train: Batch,
  test: Batch,
  *,
  spec: DataSpec,
  name: str,
  num_samples: int,
  seed: int = 0,
  mixture: GaussianMixture | None = None,
) -> PointReference:
  """Measures real points against real points.

  Args:
    train: {"x" [M, D]}.
    test: {"x" [K, D], "label" [K]}, held out.
    spec: the range, over which the ceiling's points are uniform.
    name: the data's name.
    num_samples: N; at most 2,000, and see `num_compared`.
    seed: of the subsets and of the ceiling's points.
    mixture: what the points were drawn from; None where it is not known.

  Returns:
    The PointReference.

  Raises:
    ValueError: if fewer than 20 points are left to compare.
  """
  real = as_features(train["x"], "train")
  n = num_compared(min(num_samples, MAX_POINTS), len(real), len(test["x"]), name=name)
  rng = np.random.default_rng(seed)
  rows = rng.permutation(len(test["x"]))[:n]
  held_out = as_features(np.asarray(test["x"])[rows], "test")
  noise = rng.uniform(spec.low, spec.high, held_out.shape)
  subsets = draw_subsets(rng, len(real), n)
  return PointReference(
    spec=spec,
    mixture=mixture,
    seed=seed,
    test=held_out,
    label=np.asarray(test["label"])[rows],
    floors=floors([point_measures(real[s], held_out, mixture) for s in subsets]),
    ceilings=point_measures(noise, held_out, mixture),
  )


def point_measures(
  points: np.ndarray, test: np.ndarray, mixture: GaussianMixture | None
) -> Measures:
  """How points compare with held-out points, and with the mixture where one is known.

  Args:
    points: [N, D] float. Samples, or real points in their place.
    test: [N, D] float.
    mixture: what the test points were drawn from, or None.

  Returns:
    By name.
  """
  measures = {
    "energy_distance": energy_distance(points, test),
    "frechet_distance": frechet_distance(points, test),
    **precision_recall(points, test)._asdict(),
    **density_coverage(points, test)._asdict(),
  }
  if mixture is None:
    return measures
  modes = mode_coverage(points, mixture)
  measures["modes_covered"] = float(modes.covered)
  measures["good_share"] = modes.good_share
  measures["mode_kl_nats"] = modes.kl_nats
  return measures
