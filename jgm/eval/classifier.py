"""Small classifiers trained here, on the real training data, in seconds.

One gives the features that are compared, another the confidence that is reported; they
differ in architecture and seed. A net is made again from (data, recipe), bit for bit on
one machine, and kept on disk under a name that everything it depends on goes into.
"""

import hashlib
import inspect
from typing import NamedTuple

import flax
import jax
import numpy as np
import optax

from jgm.core.state import PyTree
from jgm.data.spec import Numbers
from jgm.eval import classifier_training, network_cache, networks
from jgm.eval.classifier_training import (
  BATCH_SIZE,
  KINDS,
  Kind,
  Recipe,
  apply_batch,
  train_variables,
)


class Classifier(NamedTuple):
  """A trained net."""

  recipe: Recipe
  variables: PyTree  # the parameters, and the scales of its inputs and features

  @property
  def description(self) -> str:
    """What to call it beside a number."""
    return f"{KINDS[self.recipe.kind].__name__} seed {self.recipe.seed}"

  def features(self, images: Numbers) -> np.ndarray:
    """Features, scaled so that the training data's have a mean square of 1.

    Args:
      images: [N, H, W, C] float.

    Returns:
      [N, D] float32.
    """
    return self._apply(images)[1]

  def probabilities(self, images: Numbers) -> np.ndarray:
    """Class probabilities.

    Args:
      images: [N, H, W, C] float.

    Returns:
      [N, K] float64; rows sum to 1.
    """
    return np.exp(self._apply(images)[0].astype(np.float64))

  def accuracy(self, images: Numbers, labels: Numbers) -> float:
    """The share of images whose most probable class is the label.

    Args:
      images: [N, H, W, C] float.
      labels: [N] int.

    Returns:
      A share in [0, 1].
    """
    return float(np.mean(self._apply(images)[0].argmax(axis=1) == np.asarray(labels)))

  def _apply(self, images: Numbers) -> tuple[np.ndarray, np.ndarray]:
    images = as_images(images)
    n = len(images)
    # Whole batches only, so that any number of images runs one compiled program.
    padded = np.concatenate([images, np.repeat(images[:1], -n % BATCH_SIZE, axis=0)])
    recipe = self.recipe._replace(seed=0, steps=0)  # neither changes the program
    parts = [
      jax.device_get(apply_batch(recipe, self.variables, batch))
      for batch in np.split(padded, len(padded) // BATCH_SIZE)
    ]
    log_probs, features = (np.concatenate(p)[:n] for p in zip(*parts, strict=True))
    return log_probs, features


def train_classifier(
  images: Numbers,
  labels: Numbers,
  *,
  kind: Kind,
  num_classes: int,
  seed: int,
  name: str,
  steps: int | None = None,
  cached: bool = True,
) -> Classifier:
  """A classifier of the training data, from the disk where it was trained before.

  Args:
    images: [N, H, W, C] float. The real training images.
    labels: [N] int, in 0 .. num_classes - 1.
    kind: which network: the one for features or the one for judgements.
    num_classes: the number of classes, K >= 2.
    seed: of the initial parameters and the batches.
    name: the data's name, for the file's.
    steps: training steps of 128 images; None means 3 epochs, 500 steps at the least.
    cached: whether to look on the disk, and to write there.

  Returns:
    The Classifier. The same arguments give the same bits on the same machine.

  Raises:
    ValueError: if the images are not [N, H, W, C] and finite, or a label is out of
      range.
  """
  images, labels = as_images(images), checked_labels(labels, len(images), num_classes)
  steps = steps or max(500, 3 * len(images) // BATCH_SIZE)
  recipe = Recipe(kind, num_classes, seed, steps, max_shift=min(images.shape[1:3]) // 8)
  train = lambda: train_variables(recipe, images, labels)
  if not cached:
    return Classifier(recipe, train())
  name = name.replace("/", "-")  # TFDS's names may have a config: name/config
  file_name = f"{name}-{kind}-{digest(recipe, images, labels)[:24]}"
  return Classifier(recipe, network_cache.load_or_make(file_name, train))


def rotation_task(images: Numbers) -> tuple[np.ndarray, np.ndarray]:
  """Images without labels as a task with four classes: by how much is each turned?

  What a feature net learns from where there are no labels.

  Args:
    images: [N, H, W, C], H = W.

  Returns:
    (images [4N, H, W, C], labels int32 [4N]): each image at 0, 90, 180, 270 degrees.

  Raises:
    ValueError: if the images are not square.

  Reference: Gidaris et al. 2018, section 2. https://arxiv.org/abs/1803.07728
  """
  images = as_images(images)
  if images.shape[1] != images.shape[2]:
    raise ValueError(
      f"images without labels must be square to learn features from; got "
      f"{images.shape[1]}x{images.shape[2]}"
    )
  turned = [np.rot90(images, quarter, axes=(1, 2)) for quarter in range(4)]
  return np.concatenate(turned), np.repeat(np.arange(4, dtype=np.int32), len(images))


def digest(recipe: Recipe, images: Numbers, labels: Numbers) -> str:
  """A name for everything a trained net depends on: data, recipe, code, versions."""
  parts = (
    *(repr(item) for item in (recipe, images.shape, jax.default_backend())),
    *(package.__version__ for package in (jax, flax, optax, np)),
    *(inspect.getsource(module) for module in (networks, classifier_training)),
  )
  found = hashlib.sha256("\n".join(parts).encode())
  found.update(np.ascontiguousarray(images).data)
  found.update(np.ascontiguousarray(labels).data)
  return found.hexdigest()


def as_images(images: Numbers) -> np.ndarray:
  """`images` as finite float32 [N, H, W, C], or an error."""
  images = np.asarray(images, np.float32)
  if images.ndim != 4 or 0 in images.shape:
    raise ValueError(f"images must be [N, H, W, C] and not empty; got {images.shape}")
  if not np.isfinite(images).all():
    bad = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
    raise ValueError(
      f"{len(bad)} of {len(images)} images hold values that are not finite, the first "
      f"is image {bad[0]}"
    )
  return images


def checked_labels(labels: Numbers, n: int, num_classes: int) -> np.ndarray:
  """`labels` as int32 [n] in 0 .. num_classes - 1, or an error."""
  labels = np.asarray(labels, np.int32)
  if labels.shape != (n,):
    raise ValueError(f"labels must be [{n}], one per image; got {labels.shape}")
  if num_classes < 2 or labels.min() < 0 or labels.max() >= num_classes:
    raise ValueError(
      f"labels must lie in 0 .. {num_classes - 1}, of 2 classes or more; got "
      f"{labels.min()} .. {labels.max()}"
    )
  return labels
