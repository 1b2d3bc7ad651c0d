"""A TFDS builder as TFDS's own are: `Image` features, encoded as PNG."""

import io

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 4, 6, 3), np.uint8)


class PngTestSet(tfds.core.GeneratorBasedBuilder):
  """Twenty small images without labels; the held-out ones are called validation."""

  VERSION = tfds.core.Version("1.0.0")

  def _info(self):
    image = tfds.features.Image(shape=(4, 6, 3), encoding_format="png")
    features = tfds.features.FeaturesDict({"image": image, "row": np.int32})
    return tfds.core.DatasetInfo(builder=self, features=features)

  def _split_generators(self, dl_manager):
    return {
      "train": self._generate_examples(0),
      "validation": self._generate_examples(1),
    }

  def _generate_examples(self, half):
    for row in range(10 * half, 10 * half + 10):
      file = io.BytesIO()
      PIL.Image.fromarray(PIXELS[row]).save(file, "png")
      file.seek(0)  # an array would be encoded with TensorFlow
      yield row, {"image": file, "row": row}
