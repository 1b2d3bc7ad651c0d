"""The TFDS builder of scikit-learn's handwritten digits; it needs no TensorFlow.

A TFDS builder has to be alone in its module. The features are `Tensor`s and not
`Image`s, because TFDS encodes images with TensorFlow.
"""

import numpy as np
import tensorflow_datasets as tfds

LEVELS = 17  # a pixel counts the ink in a block of 4x4 binary pixels: 0 .. 16
NUM_TRAIN, NUM_TEST = 1297, 500


class Digits(tfds.core.GeneratorBasedBuilder):
  """1,797 handwritten digits of 8x8 pixels, split into 1,297 and 500.

  scikit-learn holds them in the order of their writers, so a cut would train on some
  people's hands and test on others'. The split is therefore drawn at random within each
  class: both halves hold all writers, and their classes have the same proportions, so
  that real test digits are what a perfect model of the training digits would make.
  """

  VERSION = tfds.core.Version("1.0.0")

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description="The 8x8 handwritten digits that ship with scikit-learn.",
      features=tfds.features.FeaturesDict(
        {
          "image": tfds.features.Tensor(shape=(8, 8, 1), dtype=np.uint8),
          "label": tfds.features.ClassLabel(num_classes=10),
        }
      ),
      supervised_keys=("image", "label"),
      homepage="https://archive.ics.uci.edu/dataset/80",
      metadata=tfds.core.MetadataDict({"levels": LEVELS}),
    )

  def _split_generators(self, dl_manager):
    del dl_manager  # nothing is downloaded
    images, labels = load_pixels()
    test = held_out_rows(labels)
    return {
      "train": self._generate_examples(images, labels, ~test),
      "test": self._generate_examples(images, labels, test),
    }

  def _generate_examples(self, images, labels, chosen):
    for row in np.flatnonzero(chosen):
      yield int(row), {"image": images[row], "label": int(labels[row])}


def load_pixels() -> tuple[np.ndarray, np.ndarray]:
  """The digits in scikit-learn's order: uint8 [1797, 8, 8, 1] and int64 [1797]."""
  from sklearn.datasets import load_digits  # takes a second to import

  digits = load_digits()
  return digits.images.astype(np.uint8)[..., None], digits.target


def held_out_rows(labels: np.ndarray) -> np.ndarray:
  """Which rows are held out: bool [1797], 500 of them True.

  Each class gives its share of the 500, rounded so that the sum is right. numpy
  promises that `RandomState` draws the same numbers for ever.
  """
  counts = np.bincount(labels)
  quota = NUM_TEST * counts / len(labels)
  taken = np.floor(quota).astype(int)
  taken[np.argsort(taken - quota, kind="stable")[: NUM_TEST - taken.sum()]] += 1
  random = np.random.RandomState(0)
  test = np.zeros(len(labels), bool)
  for label, number in enumerate(taken):
    test[random.permutation(np.flatnonzero(labels == label))[:number]] = True
  return test
