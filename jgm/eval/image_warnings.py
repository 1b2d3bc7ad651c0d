"""What a person must know of a set of samples: copies of data, a collapse, no likeness.

Thresholds are set so that fresh real images give no warning (a test holds this).
"""

from collections.abc import Mapping

import numpy as np

from jgm.data.spec import DataSpec
from jgm.eval.floors import Floor
from jgm.eval.measures import MAX_COPY_SAMPLES, Images, Measures, Nets, half_level
from jgm.eval.neighbours import copied_share, nearest_neighbours
from jgm.eval.reference import Reference

# With fewer than ten of a class, it can be missing, or alike, by chance.
MIN_OF_CLASS = 10
LEAST_SPREAD = 1 / 3  # of that of real images, for which samples are not all alike
NUM_LISTED = 10


def image_warnings(
  images: Images, measures: Measures, shares: np.ndarray, reference: Reference
) -> tuple[str, ...]:
  """Sentences for a person; none for fresh real images.

  Args:
    images: the samples.
    measures: of the samples.
    shares: [K]. The samples' class shares by the judge; [0] without one.
    reference: the same quantities of real images.

  Returns:
    The warnings, the gravest first.
  """
  return (
    *warn_of_copies(measures, reference),
    *warn_of_missing_classes(shares, reference),
    *warn_of_alike_samples(images, reference),
    *warn_of_repeats(images, reference),
    *warn_of_little_overlap(measures, reference.floors),
  )


def warn_of_copies(measures: Measures, reference: Reference) -> tuple[str, ...]:
  """Says so where samples are training images, or nearly."""
  exact, near = measures["copies_exact_share"], measures["copies_near_share"]
  usual_exact = reference.floors["copies_exact_share"].mean
  usual_near = reference.floors["copies_near_share"].mean
  if exact > usual_exact + 0.01:
    return (
      f"copying: {exact:.1%} of the samples equal a training image to the grey level "
      f"(of fresh real images: {usual_exact:.1%})",
    )
  if near > usual_near + 0.05:
    return (
      f"copying: {near:.1%} of the samples lie nearer to a training image than 99% of "
      f"held-out images do (of fresh real images: {usual_near:.1%})",
    )
  return ()


def warn_of_missing_classes(
  shares: np.ndarray, reference: Reference
) -> tuple[str, ...]:
  """Says which classes have fewer than a quarter of their real share."""
  real = reference.class_shares
  expected = real * reference.num_samples >= MIN_OF_CLASS
  missing = np.flatnonzero(expected & (shares < real / 4))
  if not missing.size:
    return ()
  listed = ", ".join(
    f"{class_name(i, reference)} ({shares[i]:.1%})" for i in missing[:NUM_LISTED]
  )
  return (
    f"collapse: {missing.size} of {real.size} classes have less than a quarter of "
    f"their share among real images: {listed}",
  )


def warn_of_alike_samples(images: Images, reference: Reference) -> tuple[str, ...]:
  """Says so where samples of a class, or all without a judge, hardly differ."""
  spread = spread_by_class(images, reference.nets)
  usual = spread_by_class(reference.test, reference.nets)
  ratio = {k: spread[k] / usual[k] for k in spread if usual.get(k, 0) > 0}
  alike = sorted(k for k in ratio if ratio[k] < LEAST_SPREAD)
  if not alike:
    return ()
  if reference.nets.judge is None:
    return (
      f"collapse: the samples are nearly alike: their features spread {ratio[0]:.1%} "
      "as far as those of real images",
    )
  listed = ", ".join(
    f"{class_name(k, reference)} ({ratio[k]:.1%})" for k in alike[:NUM_LISTED]
  )
  return (
    f"collapse: in {len(alike)} of {reference.class_shares.size} classes the samples "
    f"are nearly alike; their features spread, beside those of real images: {listed}",
  )


def spread_by_class(images: Images, nets: Nets) -> dict[int, float]:
  """The standard deviation of features, over all of them, in each class that has ten.

  Args:
    images: samples or real images.
    nets: the judge says which class; without one, all are of class 0.

  Returns:
    By class.
  """
  label = np.zeros(len(images.pixels), int)
  if nets.judge is not None:
    label = nets.judge.probabilities(images.pixels).argmax(axis=1)
  members = {k: images.features[label == k] for k in range(label.max() + 1)}
  return {
    k: float(np.sqrt(np.sum(np.var(each, axis=0, ddof=1))))
    for k, each in members.items()
    if len(each) >= MIN_OF_CLASS
  }


def warn_of_repeats(images: Images, reference: Reference) -> tuple[str, ...]:
  """Says so where samples are drawn more than once."""
  found = repeated_share(images, reference.spec)
  usual = repeated_share(reference.test, reference.spec)
  if found <= usual + 0.05:
    return ()
  return (
    f"collapse: {found:.1%} of the samples equal another sample to the grey level (of "
    f"real images: {usual:.1%})",
  )


def repeated_share(images: Images, spec: DataSpec) -> float:
  """The share of images that equal another of them, of the first 1,000."""
  images = images.take(slice(MAX_COPY_SAMPLES))
  rows = images.rows()
  others = nearest_neighbours(rows, rows, exclude_self=True).indices[:, 0]
  return copied_share(images.pixels, images.pixels[others], tolerance=half_level(spec))


def class_name(k: int, reference: Reference) -> str:
  """What a class is called."""
  names = reference.spec.class_names
  return names[k] if names else str(k)


def warn_of_little_overlap(
  measures: Measures, floors: Mapping[str, Floor]
) -> tuple[str, ...]:
  """Says so where coverage or precision is less than half of real data's."""
  warnings = []
  for name, sentence in (
    ("coverage", "collapse: the samples reach {:.1%} of the data's neighbourhoods"),
    ("precision", "no likeness: {:.1%} of the samples lie among real data"),
  ):
    usual = floors[name].mean
    if measures[name] < usual / 2:
      warnings.append(
        sentence.format(measures[name]) + f" (of fresh real data: {usual:.1%})"
      )
  return tuple(warnings)
