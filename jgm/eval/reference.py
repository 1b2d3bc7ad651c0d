"""What samples are measured against: real images, and nets that look at both."""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jgm.core.experiment import Batch
from jgm.data.spec import DataSpec
from jgm.eval.classifier import Classifier, as_images, rotation_task, train_classifier
from jgm.eval.fid import FidReference, make_fid_reference
from jgm.eval.floors import Floor, draw_subsets, floors, num_compared
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
  fid: FidReference | None  # None without Inception

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
  net_steps: int | None = None,
  inception: Features | None = None,
) -> Reference:
  """Trains the nets, or reads them from the cache, and measures real against real.

  Without labels the feature net learns to tell by how much an image was turned, and
  there is no judge: no score that needs classes is given.

  Args:
    train: {"x" [M, H, W, C], "label" [M] where spec.num_classes > 1}.
    test: likewise; held out from the generator and from the nets.
    spec: the value range, the grey levels, the classes.
    name: the data's name.
    num_samples: N; fewer where there are not as many test images, or twice as many
      training images.
    seed: of the nets, the subsets and the noise.
    net_steps: training steps of each net; None: `train_classifier`'s own choice.
    inception: images -> [N, 2048], from `jgm.eval.inception`; None for no FID.

  Returns:
    The Reference.

  Raises:
    ValueError: if fewer than 20 images are left, or the images are not fit.
  """
  images, held_out = as_images(train["x"]), as_images(test["x"])
  n = num_compared(num_samples, len(images), len(held_out), name=name)
  rng = np.random.default_rng(seed)
  net, judge = make_nets(train, spec, name=name, seed=seed, steps=net_steps)
  title = net.description + (" (of turns: no labels)" if judge is None else "")
  nets = Nets(title, net.features, judge)
  all_train = look(images, nets)
  chosen_test = look(held_out[rng.permutation(len(held_out))[:n]], nets)
  subsets = draw_subsets(rng, len(images), n)
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
    fid=None
    if inception is None
    else make_fid_reference(inception, images, held_out, noise=noise, seed=seed),
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
    train: {"x" [M, H, W, C], "label" [M] where spec.num_classes > 1}.
    spec: says how many classes.
    name: the data's name.
    seed: the feature net's; the judge's is the next one.
    steps: training steps, or None.

  Returns:
    (feature net, judge or None).
  """
  if spec.num_classes < 2:
    turned, turns = rotation_task(train["x"])
    net = train_classifier(
      turned, turns, kind="features", num_classes=4, seed=seed, name=name, steps=steps
    )
    return net, None
  of_classes = functools.partial(
    train_classifier,
    train["x"],
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
