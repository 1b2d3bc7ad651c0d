"""What samples are measured against: real images, and real against real as the floor.

A number alone says nothing: a Fréchet distance depends on the feature net and on N. So
everything is measured twice, the second time with a subset of the real training images
in the samples' place. The subset is drawn several times, so that the floor is not luck.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jgm.data.spec import DataSpec
from jgm.eval import classifier_scores as scores
from jgm.eval.classifier import Classifier, as_images, rotation_task, train_classifier
from jgm.eval.frechet import frechet_distance
from jgm.eval.kernel_distance import kernel_distance
from jgm.eval.manifold import density_coverage, precision_recall
from jgm.eval.neighbours import copied_share, copying, nearest_neighbours

NUM_SUBSETS = 5  # training subsets that a floor is the mean of
MIN_SAMPLES = 20
# Neighbours among all training images, in pixels, are what costs most; so many samples
# place a Kolmogorov-Smirnov distance within 0.06.
MAX_COPY_SAMPLES = 1000

Measures = Mapping[str, float]
Features = Callable[[np.ndarray], np.ndarray]


class Floor(NamedTuple):
  """A quantity for real images in the samples' place."""

  mean: float
  spread: float  # standard deviation over the subsets; 0 where there was only one set


class Reference(NamedTuple):
  """Real images, the nets trained on them, and what was measured of them."""

  name: str
  spec: DataSpec
  seed: int
  num_samples: int  # N, of the samples and of the test images
  feature_net: str  # what to call it beside a number
  features: Features  # images -> [N, D], of the feature net
  judge: Classifier | None  # None where the data have no labels
  judge_accuracy: float  # on held-out images; NaN without a judge
  inception: Features | None
  train: np.ndarray  # [M, H, W, C]
  train_features: np.ndarray  # [M, D]
  test: np.ndarray  # [N, H, W, C]
  test_features: np.ndarray  # [N, D]
  test_inception: np.ndarray | None  # [N, 2048]
  class_shares: np.ndarray  # [K], of the test images by the judge; [0] without one
  floors: Mapping[str, Floor]
  ceilings: Measures  # of uniform noise


def make_reference(
  train: Mapping[str, np.ndarray],
  test: Mapping[str, np.ndarray],
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
    train: {"image" [M, H, W, C], "label" [M] where spec.num_classes > 1}, M >= 2 N.
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
  chosen = np.sort(rng.permutation(len(held_out))[:n])
  net, judge = make_nets(train, spec, name=name, seed=seed, steps=training_steps)
  reference = Reference(
    name=name,
    spec=spec,
    seed=seed,
    num_samples=n,
    feature_net=net.description + (" (turns, no labels)" if judge is None else ""),
    features=net.features,
    judge=judge,
    judge_accuracy=judge.accuracy(held_out, test["label"]) if judge else np.nan,
    inception=inception,
    train=images,
    train_features=net.features(images),
    test=held_out[chosen],
    test_features=net.features(held_out[chosen]),
    test_inception=inception(held_out[chosen]) if inception else None,
    class_shares=np.zeros(0),
    floors={},
    ceilings={},
  )
  subsets = [rng.permutation(len(images))[:n] for _ in range(NUM_SUBSETS)]
  noise = rng.uniform(spec.low, spec.high, reference.test.shape).astype(np.float32)
  judged_test = judge_measures(reference.test, reference)
  return reference._replace(
    class_shares=judged_shares(reference.test, reference),
    floors={
      **spread([distribution_measures(images[s], reference) for s in subsets]),
      # The judge has seen the training images: only held-out ones show how sure it is.
      **spread([judged_test]),
      **spread([copy_floor(s, reference) for s in subsets]),
    },
    ceilings={
      **distribution_measures(noise, reference),
      **judge_measures(noise, reference),
    },
  )


def make_nets(
  train: Mapping[str, np.ndarray],
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
  options = {"name": name, "steps": steps}
  if spec.num_classes < 2:
    images, turns = rotation_task(train["image"])
    net = train_classifier(
      images, turns, kind="features", num_classes=4, seed=seed, **options
    )
    return net, None
  options["num_classes"] = spec.num_classes
  images, labels = train["image"], train["label"]
  return (
    train_classifier(images, labels, kind="features", seed=seed, **options),
    train_classifier(images, labels, kind="judge", seed=seed + 1, **options),
  )


def distribution_measures(images: np.ndarray, reference: Reference) -> Measures:
  """How the distribution of images compares with that of the test images.

  Args:
    images: [N, H, W, C], as many as there are test images.
    reference: the test images and the feature net.

  Returns:
    By name; "fid" among them where there is an Inception network.
  """
  features, test = reference.features(images), reference.test_features
  measures = {
    "frechet_distance": frechet_distance(features, test),
    "kernel_distance": kernel_distance(features, test).value,
    **precision_recall(features, test)._asdict(),
    **density_coverage(features, test)._asdict(),
  }
  if reference.inception is not None:
    measures["fid"] = frechet_distance(
      reference.inception(images), reference.test_inception
    )
  return measures


def judge_measures(images: np.ndarray, reference: Reference) -> Measures:
  """What the judge says of images; empty where there is no judge.

  Args:
    images: [N, H, W, C].
    reference: the judge.

  Returns:
    By name.
  """
  if reference.judge is None:
    return {}
  probabilities = reference.judge.probabilities(images)
  shares = scores.class_shares(probabilities)
  return {
    "confident_share": scores.confident_share(probabilities),
    "mean_confidence": scores.mean_confidence(probabilities),
    "inception_style_score": scores.inception_style_score(probabilities),
    "class_kl_nats": scores.class_kl_from_uniform(probabilities),
    "smallest_class_share": float(shares.min()),
    "largest_class_share": float(shares.max()),
  }


def judged_shares(images: np.ndarray, reference: Reference) -> np.ndarray:
  """The share of images in each class, by the judge: [K], or [0] without one."""
  if reference.judge is None:
    return np.zeros(0)
  return scores.class_shares(reference.judge.probabilities(images))


def copy_measures(
  images: np.ndarray,
  train: np.ndarray,
  train_features: np.ndarray,
  reference: Reference,
) -> Measures:
  """Whether images lie nearer to training images than held-out images do.

  Args:
    images: [N, H, W, C].
    train: [M, H, W, C]. The images that may have been copied.
    train_features: [M, D]. Their features.
    reference: the held-out images and the feature net.

  Returns:
    By name. `copies_near_share` is by pixels.
  """
  images, test = images[:MAX_COPY_SAMPLES], reference.test[:MAX_COPY_SAMPLES]
  test_features = reference.test_features[:MAX_COPY_SAMPLES]
  nearest = lambda x, y: nearest_neighbours(x, y)
  pixels, to_train = nearest(flat(images), flat(train)), flat(train)
  by_pixels = copying(
    pixels.distances[:, 0], nearest(flat(test), to_train).distances[:, 0]
  )
  by_features = copying(
    nearest(reference.features(images), train_features).distances[:, 0],
    nearest(test_features, train_features).distances[:, 0],
  )
  copied = copied_share(
    images, train[pixels.indices[:, 0]], tolerance=half_level(reference.spec)
  )
  return {
    "neighbour_ks_pixels": by_pixels.ks_distance,
    "neighbour_ks_features": by_features.ks_distance,
    "nearer_pixels": by_pixels.nearer,
    "copies_near_share": by_pixels.near_share,
    "copies_exact_share": copied,
  }


def copy_floor(subset: np.ndarray, reference: Reference) -> Measures:
  """`copy_measures` of real training images, against the training images left.

  Args:
    subset: [N] int. Rows of the training images that stand for samples.
    reference: all training images.

  Returns:
    By name.
  """
  left = np.delete(np.arange(len(reference.train)), subset)
  return copy_measures(
    reference.train[subset],
    reference.train[left],
    reference.train_features[left],
    reference,
  )


def spread(measures: Sequence[Measures]) -> dict[str, Floor]:
  """The mean and the standard deviation of each quantity over several sets."""
  values = {name: [m[name] for m in measures] for name in measures[0]}
  ddof = 1 if len(measures) > 1 else 0
  return {
    name: Floor(float(np.mean(v)), float(np.std(v, ddof=ddof)))
    for name, v in values.items()
  }


def flat(images: np.ndarray) -> np.ndarray:
  """Images as rows [N, H * W * C]."""
  return images.reshape(len(images), -1)


def half_level(spec: DataSpec) -> float:
  """Half a grey level: images that differ by less are written as the same image."""
  levels = spec.levels or 256
  return (spec.high - spec.low) / (levels - 1) / 2
