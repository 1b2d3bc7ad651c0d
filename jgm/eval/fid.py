"""The Fréchet Inception distance as papers report it: against the training images.

All samples are compared with the statistics of the whole training split, whatever the
number of the other comparisons: DDPM's 3.17 is of 50,000 samples of CIFAR-10 and its
50,000 training images. It comes down as the number of samples grows, so the note says
how many there were.

Reference: Heusel et al. 2017, section 3. https://arxiv.org/abs/1706.08500
"""

from typing import NamedTuple

import numpy as np

from jgm.core.experiment import Scalar
from jgm.eval.frechet import Moments, feature_moments, frechet_distance_of_moments
from jgm.eval.measures import Features


class FidReference(NamedTuple):
  """What samples are compared with."""

  features: Features  # images [N, H, W, C] -> [N, 2048]
  train: Moments  # of all training images
  num_train: int
  floor: float  # of the held-out images
  num_test: int
  ceiling: float  # of uniform noise
  seed: int  # of the noise


def make_fid_reference(
  features: Features,
  train: np.ndarray,
  test: np.ndarray,
  *,
  noise: np.ndarray,
  seed: int,
) -> FidReference:
  """Measures the training images, and held-out images and noise against them.

  Args:
    features: Inception's, as `jgm.eval.inception.load_inception` gives them.
    train: [M, H, W, C] float.
    test: [N, H, W, C] float.
    noise: [K, H, W, C] float, what a model draws that knows nothing.
    seed: the noise's.

  Returns:
    The FidReference.
  """
  moments = feature_moments(features(train))
  distance = lambda images: frechet_distance_of_moments(
    feature_moments(features(images)), moments
  )
  return FidReference(
    features, moments, len(train), distance(test), len(test), distance(noise), seed
  )


def fid(samples: np.ndarray, reference: FidReference) -> Scalar:
  """The FID of all samples.

  Args:
    samples: [N, H, W, C] float.
    reference: of the training images.

  Returns:
    The distance beside that of held-out images, of which there may be fewer.
  """
  found = feature_moments(reference.features(samples))
  return Scalar(
    frechet_distance_of_moments(found, reference.train),
    floor=reference.floor,
    ceiling=reference.ceiling,
    better="lower",
    note=f"Inception pool3; N={len(samples)} samples against the statistics of all "
    f"{reference.num_train} training images, seed {reference.seed}; floor: "
    f"{reference.num_test} held-out images",
  )
