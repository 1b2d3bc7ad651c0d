"""What samples are measured against: real images, and real against real as the floor.

A number alone says nothing: a Fréchet distance depends on the feature net and on N. So
everything is measured twice, the second time with a subset of the real training images
in the samples' place. The subset is drawn several times, so that the floor is not luck.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jgm.core.experiment import Batch
from jgm.data.spec import DataSpec
from jgm.eval.classifier import Classifier, as_images, rotation_task, train_classifier
from jgm.eval.measures import (
  Features,
  Images,
  Measures,
  Nets,
  copy_measures,
  distribution_measures,
  judge_measures,
  judged_shares,
  look,
)

NUM_SUBSETS = 5  # training subsets that a floor is the mean of
MIN_SAMPLES = 20


class Floor(NamedTuple):
  """A quantity for real images in the samples' place."""

  mean: float
  spread: float  # standard deviation over the subsets; 0 where there was only one set


class Reference(NamedTuple):
  """Real images, the nets trained on them, and what was measured of them."""

  spec: DataSpec
  seed: int
  nets: Nets
  judge_accuracy: float  # on all held-out images; NaN without a judge
  train: Images  # M of them
  test: Images  # N of them
  class_shares: np.ndarray  # [K], of the test images by the judge; [0] without one
  floors: Mapping[str, Floor]
  ceilings: Measures  # of uniform noise

  @property
  def num_samples(self) -> int:
    """How many samples are compared with as many test images, N."""
    return len(self.test.pixels)


def make_reference(
  train: Batch,
  test: Batch,
  *,
  spec: DataSpec,
  name: str,
  num_samples: int,
  seed: int = 0,
  training_steps: int | None = None,
  inception: Features | None = None,
) -> Reference:
  """Trains the nets, or reads them from the cache, and measures real against real.

  Without labels the feature net learns to tell by how much an image was turned, and
  there is no judge: no score that needs classes is given.

  Args:
    train: {"image" [M, H, W, C], "label" [M] where spec.num_classes > 1}.
    test: likewise; held out from the generator and from the nets.
    spec: the value range, the grey levels, the classes.
    name: the data's name.
    num_samples: N; fewer where there are not as many test images, or twice as many
      training images.
    seed: of the nets, the subsets and the noise.
    training_steps: of the nets; None for `train_classifier`'s own choice.
    inception: images -> [N, 2048], from `jgm.eval.inception`; None for no FID.

  Returns:
    The Reference.

  Raises:
    ValueError: if fewer than 20 images are left, or the images are not fit.
  """
  images, held_out = as_images(train["image"]), as_images(test["image"])
  n = min(num_samples, len(held_out), len(images) // 2)
  if n < MIN_SAMPLES:
    raise ValueError(
      f"{name} leaves {n} images to compare: {MIN_SAMPLES} are the least (of "
      f"{num_samples} samples, {len(held_out)} test and {len(images)} training images)"
    )
  rng = np.random.default_rng(seed)
  net, judge = make_nets(train, spec, name=name, seed=seed, steps=training_steps)
  title = net.description + (" (of turns: no labels)" if judge is None else "")
  nets = Nets(title, net.features, judge, inception)
  all_train = look(images, nets)
  chosen_test = look(held_out[rng.permutation(len(held_out))[:n]], nets)
  subsets = [rng.permutation(len(images))[:n] for _ in range(NUM_SUBSETS)]
  noise = rng.uniform(spec.low, spec.high, chosen_test.pixels.shape)
  return Reference(
    spec=spec,
    seed=seed,
    nets=nets,
    judge_accuracy=judge.accuracy(held_out, test["label"]) if judge else np.nan,
    train=all_train,
    test=chosen_test,
    class_shares=judged_shares(chosen_test, nets),
    floors=real_against_real(all_train, chosen_test, subsets, nets, spec),
    ceilings=noise_against_real(look(noise, nets), chosen_test, nets),
  )


def make_nets(
  train: Batch,
  spec: DataSpec,
  *,
  name: str,
  seed: int,
  steps: int | None,
) -> tuple[Classifier, Classifier | None]:
  """The feature net, and the judge where there are labels.

  Args:
    train: {"image" [M, H, W, C], "label" [M] where spec.num_classes > 1}.
    spec: says how many classes.
    name: the data's name.
    seed: the feature net's; the judge's is the next one.
    steps: training steps, or None.

  Returns:
    (feature net, judge or None).
  """
  if spec.num_classes < 2:
    turned, turns = rotation_task(train["image"])
    net = train_classifier(
      turned, turns, kind="features", num_classes=4, seed=seed, name=name, steps=steps
    )
    return net, None
  of_classes = functools.partial(
    train_classifier,
    train["image"],
    train["label"],
    num_classes=spec.num_classes,
    name=name,
    steps=steps,
  )
  return of_classes(kind="features", seed=seed), of_classes(kind="judge", seed=seed + 1)


def real_against_real(
  train: Images,
  test: Images,
  subsets: Sequence[np.ndarray],
  nets: Nets,
  spec: DataSpec,
) -> dict[str, Floor]:
  """Every quantity with real images in the samples' place.

  Args:
    train: all training images.
    test: N held-out images.
    subsets: each [N] int, rows of `train` that stand for samples.
    nets: the nets.
    spec: the data's.

  Returns:
    By name.
  """

  def copies(subset: np.ndarray) -> Measures:
    left = np.delete(np.arange(len(train.pixels)), subset)
    return copy_measures(train.take(subset), train.take(left), test, spec)

  return {
    **floors([distribution_measures(train.take(s), test) for s in subsets]),
    # The judge has seen the training images: only held-out ones show how sure it is.
    **floors([judge_measures(test, nets)]),
    **floors([copies(subset) for subset in subsets]),
  }


def noise_against_real(noise: Images, test: Images, nets: Nets) -> Measures:
  """Every quantity that says something of noise in the samples' place, by name."""
  return {**distribution_measures(noise, test), **judge_measures(noise, nets)}


def floors(measures: Sequence[Measures]) -> dict[str, Floor]:
  """The mean and the standard deviation of each quantity over several sets."""
  ddof = min(1, len(measures) - 1)
  values = {name: [m[name] for m in measures] for name in measures[0]}
  return {
    name: Floor(float(np.mean(v)), float(np.std(v, ddof=ddof)))
    for name, v in values.items()
  }
