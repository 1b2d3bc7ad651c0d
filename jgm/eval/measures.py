"""The three groups of numbers that describe a set of images.

The distribution's, by features; the judge's, by classes; and whether training images
were copied. Each function treats samples and real images alike, so that the floor is
the same computation with real images in the samples' place.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from jgm.data.spec import DataSpec
from jgm.eval import classifier_scores as scores
from jgm.eval.classifier import Classifier
from jgm.eval.frechet import frechet_distance
from jgm.eval.kernel_distance import kernel_distance
from jgm.eval.manifold import density_coverage, precision_recall
from jgm.eval.neighbours import copied_share, copying, nearest_neighbours

# Neighbours among all training images, in pixels, are what costs most; so many samples
# place a Kolmogorov-Smirnov distance within 0.06.
MAX_COPY_SAMPLES = 1000

Measures = Mapping[str, float]
Features = Callable[[np.ndarray], np.ndarray]


class Nets(NamedTuple):
  """What images are looked at with."""

  feature_net: str  # what to call it beside a number
  features: Features  # images [N, H, W, C] -> [N, D]
  judge: Classifier | None  # None where the data have no labels


class Images(NamedTuple):
  """Images and what the nets make of them."""

  pixels: np.ndarray  # [N, H, W, C]
  features: np.ndarray  # [N, D]

  def rows(self) -> np.ndarray:
    """The pixels as [N, H * W * C]."""
    return self.pixels.reshape(len(self.pixels), -1)

  def take(self, rows: np.ndarray | slice) -> "Images":
    """The images of some rows."""
    return Images(self.pixels[rows], self.features[rows])


def look(pixels: np.ndarray, nets: Nets) -> Images:
  """Images with their features.

  Args:
    pixels: [N, H, W, C] float.
    nets: the nets.

  Returns:
    Images.
  """
  return Images(pixels, nets.features(pixels))


def distribution_measures(images: Images, test: Images) -> Measures:
  """How the distribution of images compares with that of the test images.

  Args:
    images: samples, or real images in their place.
    test: as many real images, held out.

  Returns:
    By name.
  """
  kernel = kernel_distance(images.features, test.features)
  return {
    "frechet_distance": frechet_distance(images.features, test.features),
    "kernel_distance": kernel.value,
    "kernel_standard_error": kernel.standard_error,
    **precision_recall(images.features, test.features)._asdict(),
    **density_coverage(images.features, test.features)._asdict(),
  }


def judge_measures(images: Images, nets: Nets) -> Measures:
  """What the judge says of images; nothing where there is no judge.

  Args:
    images: samples, or held-out images in their place.
    nets: the judge among them.

  Returns:
    By name.
  """
  if nets.judge is None:
    return {}
  probabilities = nets.judge.probabilities(images.pixels)
  shares = scores.class_shares(probabilities)
  return {
    "confident_share": scores.confident_share(probabilities),
    "mean_confidence": scores.mean_confidence(probabilities),
    "inception_style_score": scores.inception_style_score(probabilities),
    "class_kl_nats": scores.class_kl_from_uniform(probabilities),
    "smallest_class_share": float(shares.min()),
    "largest_class_share": float(shares.max()),
  }


def judged_shares(images: Images, nets: Nets) -> np.ndarray:
  """The share of images in each class, by the judge: [K], or [0] without one."""
  if nets.judge is None:
    return np.zeros(0)
  return scores.class_shares(nets.judge.probabilities(images.pixels))


def copy_measures(
  images: Images, train: Images, test: Images, spec: DataSpec
) -> Measures:
  """Whether images lie nearer to training images than held-out images do.

  Args:
    images: samples, or real images in their place.
    train: the images that may have been copied.
    test: real images, held out.
    spec: says how wide a grey level is.

  Returns:
    By name. The shares of copies are by pixels.
  """
  images, test = (
    images.take(slice(MAX_COPY_SAMPLES)),
    test.take(slice(MAX_COPY_SAMPLES)),
  )
  nearest = nearest_neighbours(images.rows(), train.rows())
  by_pixels = copying(
    nearest.distances[:, 0],
    nearest_neighbours(test.rows(), train.rows()).distances[:, 0],
  )
  by_features = copying(
    nearest_neighbours(images.features, train.features).distances[:, 0],
    nearest_neighbours(test.features, train.features).distances[:, 0],
  )
  copied = copied_share(
    images.pixels, train.pixels[nearest.indices[:, 0]], tolerance=half_level(spec)
  )
  return {
    "neighbour_ks_pixels": by_pixels.ks_distance,
    "neighbour_ks_features": by_features.ks_distance,
    "nearer_pixels": by_pixels.nearer,
    "nearer_features": by_features.nearer,
    "copies_near_share": by_pixels.near_share,
    "copies_exact_share": copied,
  }


def half_level(spec: DataSpec) -> float:
  """Half a grey level: images that differ by less are written as the same image."""
  return (spec.high - spec.low) / ((spec.levels or 256) - 1) / 2
