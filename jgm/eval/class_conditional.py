"""Samples that were asked for by class: are they of it, and how varied within it?"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jgm.core.experiment import Dataset, Scalar
from jgm.core.state import Array, TrainState
from jgm.eval.additions import OwnScalars
from jgm.eval.classifier import Classifier
from jgm.eval.floors import draw_subsets, floors, num_compared
from jgm.eval.frechet import frechet_distance
from jgm.eval.image_metrics import Better
from jgm.eval.manifold import precision_recall
from jgm.eval.measures import Images, Measures, look
from jgm.eval.neighbours import squared_distances
from jgm.eval.reference import Nets, make_nets
from jgm.samplers.labels import class_labels

BETTER: dict[str, Better] = {
  "class_accuracy": "higher",
  "class_diversity": "equal to floor",
  "frechet_distance": "lower",
}


class Judged(NamedTuple):
  """What looks at images by class, and what held-out images score."""

  nets: Nets
  judge: Classifier
  measures: Measures


class Real(NamedTuple):
  """Held-out images, what looks at them, and what they score themselves."""

  nets: Nets
  judge: Classifier
  test: Images  # N of them
  measures: Measures  # of real images in the samples' place


def make_class_scalars(
  data: Dataset,
  sample: Callable[..., Array],
  *,
  num_samples: int,
  seed: int,
  net_steps: int | None = None,
) -> OwnScalars:
  """Of samples of all classes in turn: how many are of theirs, how varied these are.

  Args:
    data: the dataset, of images with classes.
    sample: (state, key, n) -> [n, H, W, C], the classes in turn.
    num_samples: see `num_compared`.
    seed: of the evaluation's own nets and subsets.
    net_steps: training steps of the nets; the same as in `make_image_evaluation`, so
      that they are found in the cache.

  Returns:
    (state, key) -> {"class_accuracy", "class_diversity"}: the share of samples that
    the judge, a classifier that the model knows nothing of, takes for their class; and
    the mean distance of features within a class.
  """
  spec = data.spec
  n = num_compared(num_samples, spec.num_train, spec.num_test, name=data.name)

  @functools.cache
  def real() -> Judged:
    return judge_real(data, seed=seed, net_steps=net_steps)

  def scalars(state: TrainState, key: Array) -> dict[str, Scalar]:
    samples = np.asarray(sample(state, key, n)).clip(spec.low, spec.high)
    labels = np.asarray(class_labels(n, spec.num_classes))
    found = class_measures(look(samples, real().nets), labels, real().judge)
    return {
      name: as_scalar(name, value, real(), spec.num_classes, n)
      for name, value in found.items()
    }

  return scalars


def judge_real(data: Dataset, *, seed: int, net_steps: int | None = None) -> Judged:
  """Trains the nets, or reads them from the cache, and judges all held-out images.

  Raises:
    ValueError: if the data have no classes.
  """
  train, test = data.split("train"), data.split("test")
  net, judge = make_nets(train, data.spec, name=data.name, seed=seed, steps=net_steps)
  if judge is None:
    raise ValueError(f"{data.name} has no classes to tell apart")
  nets = Nets(net.description, net.features, judge)
  held_out = look(np.asarray(test["x"]), nets)
  return Judged(nets, judge, class_measures(held_out, np.asarray(test["label"]), judge))


def measure_real(
  data: Dataset, n: int, *, seed: int, net_steps: int | None = None
) -> Real:
  """Judges real images, as `judge_real`, and compares them with each other too.

  Args:
    data: the dataset.
    n: how many images are compared with as many.
    seed: of the nets and subsets.
    net_steps: training steps of the nets.

  Returns:
    Real. Its accuracy and diversity are of held-out images, its distance and recall of
    training images in the samples' place.
  """
  nets, judge, judged = judge_real(data, seed=seed, net_steps=net_steps)
  held_out = np.asarray(data.split("test")["x"])
  rng = np.random.default_rng(seed)
  seen = look(held_out[rng.permutation(len(held_out))[:n]], nets)
  all_train = look(np.asarray(data.split("train")["x"]), nets)
  subsets = [
    distances(all_train.take(rows), seen)
    for rows in draw_subsets(rng, len(all_train.pixels), n)
  ]
  compared = {name: floor.mean for name, floor in floors(subsets).items()}
  return Real(nets, judge, seen, {**compared, **judged})


def measure(images: Images, labels: np.ndarray, real: Real) -> Measures:
  """Every quantity of samples [N, ...] that were meant to be of the classes [N]."""
  return {**distances(images, real.test), **class_measures(images, labels, real.judge)}


def class_measures(images: Images, labels: np.ndarray, judge: Classifier) -> Measures:
  """Whether images [N, ...] are of the classes [N], and how varied within these."""
  return {
    "class_accuracy": judge.accuracy(images.pixels, labels),
    "class_diversity": class_diversity(images.features, labels),
  }


def distances(images: Images, test: Images) -> Measures:
  """How images compare with held-out ones, whatever their classes."""
  return {
    "frechet_distance": frechet_distance(images.features, test.features),
    "recall": precision_recall(images.features, test.features).recall,
  }


def class_diversity(features: np.ndarray, labels: np.ndarray) -> float:
  """The mean distance between two examples of one class, averaged over the classes.

  Args:
    features: [N, D] float.
    labels: [N] int.

  Returns:
    A float >= 0. Property: 0 iff all examples of each class are the same; it does not
    depend on N in expectation. A class of fewer than two examples is left out.

  Raises:
    ValueError: if no class has two examples.
  """
  means = []
  for label in np.unique(labels):
    rows = np.asarray(features[labels == label], np.float64)
    if len(rows) > 1:
      rows = rows - rows.mean(axis=0)  # distances keep the most digits about the mean
      pairs = np.sqrt(squared_distances(rows, rows))
      means.append(pairs.sum() / (len(rows) * (len(rows) - 1)))
  if not means:
    raise ValueError("no class has two examples: there is no distance within one")
  return float(np.mean(means))


def as_scalar(
  name: str,
  value: float,
  real: Judged | Real,
  num_classes: int,
  n: int,
  note: str = "",
) -> Scalar:
  """One quantity of n samples beside that of real images; its note begins so."""
  measured = {
    "class_accuracy": f"{real.judge.description}; ceiling: chance",
    "class_diversity": f"{real.nets.feature_net}; mean distance within a class",
    "frechet_distance": real.nets.feature_net,
  }[name]
  return Scalar(
    value=value,
    floor=real.measures[name],
    ceiling={"class_accuracy": 1 / num_classes, "class_diversity": 0.0}.get(name),
    better=BETTER[name],
    note=f"{note}{measured}; N={n}",
  )
