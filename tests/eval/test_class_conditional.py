"""Samples by class, of data whose every number is known."""

from itertools import combinations
from typing import NamedTuple

import jax
import numpy as np
import pytest

from jgm.core import Dataset
from jgm.data.spec import DataSpec
from jgm.eval import class_conditional
from jgm.eval.class_conditional import (
  class_diversity,
  make_class_scalars,
  measure,
  measure_real,
)

NUM_CLASSES, N = 3, 60
SPREAD = 0.01


class Judge(NamedTuple):
  """In the place of a classifier: a class is a brightness, and it sees it."""

  description: str = "a judge"

  def accuracy(self, images, labels):
    return float(np.mean(nearest_class(images) == np.asarray(labels)))


class Net(NamedTuple):
  """In the place of the net of features: the pixels."""

  description: str = "pixels"

  def features(self, images):
    return np.asarray(images).reshape(len(images), -1)


def nearest_class(images):
  mean = np.asarray(images).mean(axis=(1, 2, 3))
  return np.abs(mean[:, None] - brightness(np.arange(NUM_CLASSES))[None]).argmin(axis=1)


def brightness(label):
  return np.linspace(-0.8, 0.8, NUM_CLASSES)[label]


def images_of(label, seed, spread=SPREAD):
  rng = np.random.default_rng(seed)
  noise = spread * rng.normal(size=(len(label), 4, 4, 1))
  return (brightness(label)[:, None, None, None] + noise).astype(np.float32)


@pytest.fixture
def data(monkeypatch):
  sets = {}
  for name, n in (("train", 300), ("test", 150)):
    label = np.random.default_rng(n).integers(0, NUM_CLASSES, n)
    sets[name] = {"x": images_of(label, seed=n + 1), "label": label}
  # A tenth of the held-out labels are wrong, so the judge is right nine times of ten.
  wrong = np.arange(0, 150, 10)
  sets["test"]["label"][wrong] = (sets["test"]["label"][wrong] + 1) % NUM_CLASSES
  nets = Net(), Judge()
  monkeypatch.setattr(class_conditional, "make_nets", lambda *args, **options: nets)
  spec = DataSpec((4, 4, 1), 17, -1.0, 1.0, NUM_CLASSES, 300, 150)
  return Dataset("bright", spec, 32, None, None, sets.__getitem__)


def in_turn(n):
  return np.arange(n) % NUM_CLASSES


def test_diversity_is_the_mean_distance_of_all_pairs_of_a_class():
  rng = np.random.default_rng(0)
  # Far from the origin, where a difference of large squares would lose the distances.
  features = (1000 + rng.normal(size=(17, 5))).astype(np.float32)
  labels = np.array([0] * 9 + [1] * 5 + [2] * 2 + [3])
  means = []
  for label in (0, 1, 2):  # of class 3 there is one, and so no distance
    rows = features[labels == label].astype(np.float64)
    means.append(np.mean([np.linalg.norm(a - b) for a, b in combinations(rows, 2)]))
  shuffled = rng.permutation(17)
  found = class_diversity(features[shuffled], labels[shuffled])
  assert found == pytest.approx(np.mean(means), rel=1e-4)


def test_diversity_is_zero_where_a_class_is_one_example():
  features = np.random.default_rng(0).normal(size=(3, 5))[[0, 1, 2, 0, 1, 2]]
  assert class_diversity(features, in_turn(6)) == pytest.approx(0.0, abs=1e-6)
  assert class_diversity(features, np.zeros(6)) > 1


def test_diversity_does_not_depend_on_how_many_there_are():
  """A pair of N(0, 1) is 2 / sqrt(pi) apart; within 5% of it at 2000 examples."""
  rng = np.random.default_rng(0)
  few = np.mean(
    [class_diversity(rng.normal(size=(4, 1)), np.zeros(4)) for _ in range(2000)]
  )
  many = class_diversity(rng.normal(size=(2000, 1)), np.zeros(2000))
  assert few == pytest.approx(2 / np.sqrt(np.pi), rel=0.05)
  assert many == pytest.approx(2 / np.sqrt(np.pi), rel=0.05)


def test_diversity_needs_a_pair():
  with pytest.raises(ValueError, match="no class has two"):
    class_diversity(np.ones((3, 2)), np.arange(3))


def scalars_of(data, images):
  """The numbers of a generator that makes these images [N, H, W, C]."""
  calls = []

  def sample(state, key, n):
    calls.append(n)
    return images[:n]

  scalars = make_class_scalars(data, sample, num_samples=N, seed=0)(
    None, jax.random.key(0)
  )
  assert calls == [N]
  return scalars


def test_samples_are_judged_by_the_class_that_they_were_asked_for(data):
  right = scalars_of(data, images_of(in_turn(N), seed=7))
  assert right["class_accuracy"].value == 1.0
  shifted = scalars_of(data, images_of((in_turn(N) + 1) % NUM_CLASSES, seed=7))
  assert shifted["class_accuracy"].value == 0.0
  zeros = scalars_of(data, images_of(np.zeros(N, int), seed=7))
  assert zeros["class_accuracy"].value == pytest.approx(1 / NUM_CLASSES)


def test_numbers_stand_beside_those_of_real_images(data):
  """As varied within a class as real ones; a tenth of the real labels are wrong."""
  scalars = scalars_of(data, images_of(in_turn(N), seed=7))
  accuracy, diversity = scalars["class_accuracy"], scalars["class_diversity"]
  assert accuracy.floor == pytest.approx(0.9) and accuracy.better == "higher"
  assert accuracy.ceiling == pytest.approx(1 / NUM_CLASSES)
  # Two normals of 16 pixels are about sqrt(2 * 15.5) deviations apart; those of the
  # darkest and the brightest class touch no bound that they would be clipped at.
  assert diversity.value == pytest.approx(SPREAD * np.sqrt(31), rel=0.1)
  assert diversity.floor > diversity.value  # where labels are wrong, classes are mixed
  assert diversity.ceiling == 0 and diversity.better == "equal to floor"
  for scalar in scalars.values():
    assert scalar.note.endswith(f"N={N}")


def test_a_collapse_within_the_classes_is_seen(data):
  scalars = scalars_of(data, images_of(in_turn(N), seed=7, spread=0.0))
  assert scalars["class_accuracy"].value == 1.0
  assert scalars["class_diversity"].value == pytest.approx(0.0, abs=1e-6)


def test_samples_are_clipped_to_the_range_of_the_data(data):
  sign = np.where(in_turn(N) == 0, -1.0, 1.0)[:, None, None, None]
  beyond = sign * (5 + images_of(in_turn(N), seed=7))
  assert scalars_of(data, beyond)["class_diversity"].value == pytest.approx(0, abs=1e-6)


def test_real_images_in_the_samples_place_score_as_such(data):
  real = measure_real(data, N, seed=0)
  found = measure(real.test, nearest_class(real.test.pixels), real)
  assert found["frechet_distance"] == pytest.approx(0.0, abs=1e-4)
  assert found["recall"] == 1.0 and found["class_accuracy"] == 1.0
  assert real.measures["frechet_distance"] > 0
  assert 0.5 < real.measures["recall"] <= 1


def test_data_without_classes_are_refused(data, monkeypatch):
  monkeypatch.setattr(class_conditional, "make_nets", lambda *a, **o: (Net(), None))
  with pytest.raises(ValueError, match="bright has no classes"):
    measure_real(data, N, seed=0)
