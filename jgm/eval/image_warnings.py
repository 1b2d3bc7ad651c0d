"""What a person must know of a set of samples: copies of data, a collapse, no likeness.

Thresholds are set so that fresh real images give no warning (a test holds this).
"""

from collections.abc import Mapping

import numpy as np

from jgm.eval.floors import Floor
from jgm.eval.measures import Measures
from jgm.eval.reference import Reference


def image_warnings(
  measures: Measures, shares: np.ndarray, reference: Reference
) -> tuple[str, ...]:
  """Sentences for a person; none for fresh real images.

  Args:
    measures: of the samples.
    shares: [K]. The samples' class shares by the judge; [0] without one.
    reference: the same quantities of real images.

  Returns:
    The warnings, the gravest first.
  """
  return (
    *warn_of_copies(measures, reference),
    *warn_of_missing_classes(shares, reference),
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
  # With fewer than ten expected, a class can be missing by chance.
  expected = real * reference.num_samples >= 10
  missing = np.flatnonzero(expected & (shares < real / 4))
  if not missing.size:
    return ()
  names = reference.spec.class_names or tuple(map(str, range(real.size)))
  listed = ", ".join(f"{names[i]} ({shares[i]:.1%})" for i in missing[:10])
  return (
    f"collapse: {missing.size} of {real.size} classes have less than a quarter of "
    f"their share among real images: {listed}",
  )


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
