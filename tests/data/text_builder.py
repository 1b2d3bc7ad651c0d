"""A TFDS builder as TFDS's own texts are: a feature `text`, several examples."""

import tensorflow_datasets as tfds

# The byte 0 marks where documents end, and is left out of them.
TEXTS = {
  "train": ["To be, or not to be: that is the question.\n", "Ach, schön!\0 – “so”\n"],
  "validation": ["Whether 'tis nobler in the mind to suffer\n"],
}


class TextTestSet(tfds.core.GeneratorBasedBuilder):
  """Three small documents; the held-out one is called validation."""

  VERSION = tfds.core.Version("1.0.0")

  def _info(self):
    features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
    return tfds.core.DatasetInfo(
      builder=self, features=features, disable_shuffling=True
    )

  def _split_generators(self, dl_manager):
    return {split: self._generate_examples(split) for split in TEXTS}

  def _generate_examples(self, split):
    for row, text in enumerate(TEXTS[split]):
      yield row, {"text": text}
