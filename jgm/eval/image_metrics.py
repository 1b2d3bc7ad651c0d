"""The numbers of a set of images, each beside its floor, and what they warn of."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jgm.core.experiment import Dataset, Scalar
from jgm.eval.classifier import as_images
from jgm.eval.neighbours import nearest_neighbours
from jgm.eval.reference import (
  MAX_COPY_SAMPLES,
  NUM_SUBSETS,
  Features,
  Measures,
  Reference,
  copy_measures,
  distribution_measures,
  flat,
  judge_measures,
  judged_shares,
  make_reference,
)

# How each quantity is read. The order is the order of the table.
BETTER = {
  "fid": "lower",
  "frechet_distance": "lower",
  "kernel_distance": "lower",
  "precision": "higher",
  "recall": "higher",
  "density": "higher",
  "coverage": "higher",
  "confident_share": "higher",
  "mean_confidence": "higher",
  "inception_style_score": "higher",
  "class_kl_nats": "lower",
  "smallest_class_share": "equal to floor",
  "largest_class_share": "equal to floor",
  "neighbour_ks_pixels": "lower",
  "neighbour_ks_features": "lower",
  "copies_near_share": "equal to floor",
  "copies_exact_share": "lower",
}
JUDGED = tuple(BETTER)[7:13]
COPIES = tuple(BETTER)[13:]


class ImageScores(NamedTuple):
  """What is known of a set of samples."""

  scalars: dict[str, Scalar]
  warnings: tuple[str, ...]
  nearest: np.ndarray  # [N] int: of each sample, its nearest training image by pixels


def make_image_metrics(
  data: Dataset,
  *,
  num_samples: int,
  seed: int = 0,
  training_steps: int | None = None,
  inception: Callable[[], Features] | None = None,
) -> Callable[[np.ndarray], ImageScores]:
  """A function from samples to their scores. Building it reads no data.

  The first call reads the data, trains the nets or finds them in the cache, and
  measures real against real; the later ones only measure the samples.

  Args:
    data: the dataset that the samples are to resemble.
    num_samples: N, at most; see `make_reference`.
    seed: of the evaluation alone, so that runs of all seeds are measured alike.
    training_steps: of the nets; None for their own choice.
    inception: makes the Inception features, when first needed; None for no FID.

  Returns:
    samples [N, H, W, C] -> ImageScores.
  """
  made: list[Reference] = []

  def metrics(samples: np.ndarray) -> ImageScores:
    if not made:
      reference = make_reference(
        data.split("train"),
        data.split("test"),
        spec=data.spec,
        name=data.name,
        num_samples=num_samples,
        seed=seed,
        training_steps=training_steps,
        inception=inception() if inception else None,
      )
      made.append(reference)
    return image_scores(samples, made[0])

  return metrics


def image_scores(samples: np.ndarray, reference: Reference) -> ImageScores:
  """Every number of a set of samples, beside its floor and its ceiling.

  The floor is the same number for real images in the samples' place, the ceiling for
  uniform noise. Samples are clipped to the data's range, as a picture would be.

  Args:
    samples: [N or more, H, W, C] float. The first N of the reference are measured.
    reference: of the data.

  Returns:
    ImageScores.

  Raises:
    ValueError: if there are fewer than N samples, or they are of another shape or not
      finite.
  """
  samples = as_images(samples)
  n = reference.num_samples
  if samples.shape[1:] != reference.test.shape[1:] or len(samples) < n:
    raise ValueError(
      f"{n} samples of shape {reference.test.shape[1:]} are measured; got "
      f"{len(samples)} of shape {samples.shape[1:]}"
    )
  samples = samples[:n].clip(reference.spec.low, reference.spec.high)
  measures = {
    **distribution_measures(samples, reference),
    **judge_measures(samples, reference),
    **copy_measures(samples, reference.train, reference.train_features, reference),
  }
  scalars = {
    name: scalar(name, measures, reference) for name in BETTER if name in measures
  }
  shares = judged_shares(samples, reference)
  warnings = (
    *warn_of_copies(measures, reference),
    *warn_of_collapse(measures, shares, reference),
  )
  nearest = nearest_neighbours(flat(samples), flat(reference.train)).indices[:, 0]
  return ImageScores(scalars, warnings, nearest)


def scalar(name: str, measures: Measures, reference: Reference) -> Scalar:
  """One quantity with its floor, its ceiling, and what it was measured with."""
  floor = reference.floors[name]
  return Scalar(
    value=measures[name],
    floor=floor.mean,
    ceiling=reference.ceilings.get(name),
    better=BETTER[name],  # type: ignore[arg-type]
    note=note(name, floor.spread, reference),
  )


def note(name: str, spread: float, reference: Reference) -> str:
  """What a quantity was measured with, and what its floor is."""
  n, drawn = (
    reference.num_samples,
    f"± {spread:.2g} over {NUM_SUBSETS} training subsets",
  )
  seed = f"seed {reference.seed}"
  if name in JUDGED:
    return (
      f"{reference.judge.description}, {reference.judge_accuracy:.1%} right on held-out "
      f"images; N={n}; floor: held-out images"
    )
  if name in COPIES:
    net = reference.feature_net if name == "neighbour_ks_features" else "pixels"
    return f"{net}; N={min(n, MAX_COPY_SAMPLES)}, {seed}; floor {drawn}"
  net = "Inception pool3" if name == "fid" else reference.feature_net
  return f"{net}; N={n} against {n} test images, {seed}; floor {drawn}"


def warn_of_copies(measures: Measures, reference: Reference) -> tuple[str, ...]:
  """Says so where samples are training images.

  Args:
    measures: of the samples.
    reference: the same quantities of real images.

  Returns:
    Sentences for a person; none for fresh images.
  """
  exact, near = measures["copies_exact_share"], measures["copies_near_share"]
  floors = reference.floors
  if exact > floors["copies_exact_share"].mean + 0.01:
    return (
      f"copying: {exact:.1%} of the samples equal a training image to the grey level "
      f"(of fresh real images: {floors['copies_exact_share'].mean:.1%})",
    )
  if near > floors["copies_near_share"].mean + 0.05:
    return (
      f"copying: {near:.1%} of the samples lie nearer to a training image than 99% of "
      f"held-out images do (of fresh real images: "
      f"{floors['copies_near_share'].mean:.1%})",
    )
  return ()


def warn_of_collapse(
  measures: Measures, shares: np.ndarray, reference: Reference
) -> tuple[str, ...]:
  """Says so where classes are missing, or data are not covered, or samples are not data.

  Args:
    measures: of the samples.
    shares: [K]. The samples' class shares; [0] without a judge.
    reference: the same quantities of real images.

  Returns:
    Sentences for a person; none for fresh images.
  """
  real, warnings = reference.class_shares, []
  # With fewer than ten expected, a class can be missing by chance.
  expected = real * reference.num_samples >= 10
  missing = np.flatnonzero(expected & (shares < real / 4))
  if missing.size:
    names = reference.spec.class_names or tuple(map(str, range(real.size)))
    listed = ", ".join(f"{names[i]} ({shares[i]:.1%})" for i in missing[:10])
    warnings.append(
      f"collapse: of {missing.size} of {real.size} classes there are fewer than a "
      f"quarter as many samples as real images: {listed}"
    )
  for name, meaning in (
    ("coverage", "collapse: the samples reach {:.1%} of the data's neighbourhoods"),
    ("precision", "not like the data: {:.1%} of the samples lie among real images"),
  ):
    if measures[name] < reference.floors[name].mean / 2:
      usual = f" (of fresh real images: {reference.floors[name].mean:.1%})"
      warnings.append(meaning.format(measures[name]) + usual)
  return tuple(warnings)
