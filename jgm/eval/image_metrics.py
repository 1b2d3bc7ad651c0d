"""The numbers of a set of images, each beside its floor, each with how it was got."""

from typing import Literal, NamedTuple

import numpy as np

from jgm.core.experiment import Scalar
from jgm.data.spec import Numbers
from jgm.eval.classifier import as_images
from jgm.eval.fid import fid
from jgm.eval.floors import NUM_SUBSETS
from jgm.eval.image_warnings import image_warnings
from jgm.eval.measures import (
  MAX_COPY_SAMPLES,
  Measures,
  copy_measures,
  distribution_measures,
  judge_measures,
  judged_shares,
  look,
)
from jgm.eval.neighbours import nearest_neighbours
from jgm.eval.reference import Reference

Better = Literal["lower", "higher", "equal to floor"]

# Which way is better, in the order of the table.
DISTRIBUTION: dict[str, Better] = {
  "frechet_distance": "lower",
  "kernel_distance": "lower",
  "precision": "higher",
  "recall": "higher",
  "density": "higher",
  "coverage": "higher",
}
JUDGED: dict[str, Better] = {
  "confident_share": "higher",
  "mean_confidence": "higher",
  "inception_style_score": "higher",
  "class_kl_nats": "lower",
  "smallest_class_share": "equal to floor",
  "largest_class_share": "equal to floor",
}
COPIES: dict[str, Better] = {
  "neighbour_ks_pixels": "lower",
  "neighbour_ks_features": "lower",
  "copies_near_share": "equal to floor",
  "copies_exact_share": "lower",
}


class ImageScores(NamedTuple):
  """What is known of a set of samples."""

  scalars: dict[str, Scalar]
  warnings: tuple[str, ...]
  class_shares: np.ndarray  # [K], by the judge; [0] without one
  nearest: np.ndarray  # [min(N, 1000)] int: the training images nearest by pixels


def image_scores(samples: Numbers, reference: Reference) -> ImageScores:
  """Every number of a set of samples, beside its floor and its ceiling.

  The floor is the same number for real images in the samples' place, the ceiling for
  uniform noise. Samples are clipped to the data's range, as a picture would be.

  Args:
    samples: [N or more, H, W, C] float. The first N of the reference are measured; the
      FID is of all of them.
    reference: of the data.

  Returns:
    ImageScores.

  Raises:
    ValueError: if there are fewer than N samples, or they are of another shape or not
      finite.
  """
  samples = as_images(samples)
  n, shape = reference.num_samples, reference.spec.shape
  if samples.shape[1:] != shape or len(samples) < n:
    raise ValueError(
      f"{n} samples of shape {shape} are measured; got {len(samples)} of shape "
      f"{samples.shape[1:]}"
    )
  spec, nets = reference.spec, reference.nets
  samples = samples.clip(spec.low, spec.high)
  images = look(samples[:n], nets)
  measures = {
    **distribution_measures(images, reference.test),
    **judge_measures(images, nets),
    **copy_measures(images, reference.train, reference.test, spec),
  }
  shares = judged_shares(images, nets)
  better = {**DISTRIBUTION, **JUDGED, **COPIES}
  found = {
    k: scalar(k, better[k], measures, reference) for k in better if k in measures
  }
  if reference.fid is not None:
    found = {"fid": fid(samples, reference.fid), **found}
  some = images.take(slice(MAX_COPY_SAMPLES))
  return ImageScores(
    found,
    image_warnings(images, measures, shares, reference),
    shares,
    nearest_neighbours(some.rows(), reference.train.rows()).indices[:, 0],
  )


def scalar(
  name: str, better: Better, measures: Measures, reference: Reference
) -> Scalar:
  """One quantity with its floor, its ceiling, and what it was measured with."""
  return Scalar(
    value=measures[name],
    floor=reference.floors[name].mean,
    ceiling=reference.ceilings.get(name),
    better=better,
    note=note(name, measures, reference),
  )


def note(name: str, measures: Measures, reference: Reference) -> str:
  """What a quantity was measured with: the net, N, the seed, how sure the floor is."""
  n, nets = reference.num_samples, reference.nets
  floor = reference.floors[name]
  drawn = f"floor ± {floor.spread:.2g} over {NUM_SUBSETS} training subsets"
  seed = f"seed {reference.seed}"
  if name in JUDGED and nets.judge is not None:
    right = f"{reference.judge_accuracy:.1%} right on held-out images"
    return f"{nets.judge.description}, {right}; N={n}, {seed}; floor: held-out images"
  if name in COPIES:
    seen_by = nets.feature_net if name == "neighbour_ks_features" else "pixels"
    direction = ""
    if name.startswith("neighbour_ks"):
      one_sided = measures[name.replace("neighbour_ks", "nearer")]
      direction = (
        f"; samples lie {'nearer' if one_sided == measures[name] else 'farther'}"
      )
    return f"{seen_by}; N={min(n, MAX_COPY_SAMPLES)}, {seed}; {drawn}{direction}"
  if name == "kernel_distance":
    drawn = f"± {measures['kernel_standard_error']:.2g} (blocks); {drawn}"
  return f"{nets.feature_net}; N={n} against {n} test images, {seed}; {drawn}"
