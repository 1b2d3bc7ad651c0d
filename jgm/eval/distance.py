"""One distance between samples and held-out data, for comparing samplers by it."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jgm.core.experiment import Dataset
from jgm.eval.energy_distance import energy_distance
from jgm.eval.floors import Floor, draw_subsets, floors, num_compared
from jgm.eval.frechet import frechet_distance
from jgm.eval.point_reference import MAX_POINTS
from jgm.eval.reference import make_nets


class Distance(NamedTuple):
  """How far samples are from held-out data; lower is better."""

  name: str  # "frechet_distance"
  label: str  # the same as a person writes it
  num_samples: int  # N, how many are compared
  of: Callable[[ArrayLike], float]  # samples [N or more, ...], the first N are taken
  floor: Callable[[], Floor]  # of training data in the samples' place
  note: str


def make_distance(
  data: Dataset, *, num_samples: int, seed: int, net_steps: int | None
) -> Distance:
  """The Fréchet distance of features for images, the energy distance for points.

  Args:
    data: the dataset.
    num_samples: how many samples are wanted; see `num_compared`.
    seed: of the feature net, and of the subsets that the floor is the mean of.
    net_steps: training steps of the feature net; None: its own choice. It is the net of
      the images' evaluation, which is trained once and then found in the cache.

  Returns:
    A Distance. Building it reads nothing.

  Raises:
    ValueError: if fewer than 20 examples are left to compare.
  """
  spec, is_image = data.spec, len(data.spec.shape) == 3
  n = num_samples if is_image else min(num_samples, MAX_POINTS)
  n = num_compared(n, spec.num_train, spec.num_test, name=data.name)
  biased = functools.partial(energy_distance, unbiased=False)  # so never below zero
  between = frechet_distance if is_image else biased

  @functools.cache
  def features() -> Callable[[ArrayLike], np.ndarray]:
    if not is_image:
      return np.asarray
    train = data.split("train")
    net, _ = make_nets(train, spec, name=data.name, seed=seed, steps=net_steps)
    return lambda x: net.features(np.asarray(x).clip(spec.low, spec.high))

  @functools.cache
  def held_out() -> np.ndarray:
    test = np.asarray(data.split("test")["x"])
    return features()(test[_rows(data, n, seed)[0]])

  def of(samples: ArrayLike) -> float:
    return float(between(features()(np.asarray(samples)[:n]), held_out()))

  @functools.cache
  def floor() -> Floor:
    train = np.asarray(data.split("train")["x"])
    subsets = _rows(data, n, seed)[1]
    return floors([{"distance": of(train[rows])} for rows in subsets])["distance"]

  name = "frechet_distance" if is_image else "energy_distance"
  note = f"N={n} against {n} test examples, seed {seed}"
  note = note if is_image else f"its biased estimate, never below zero; {note}"
  label = "Fréchet distance" if is_image else "energy distance"
  return Distance(name, label, n, of, floor, note)


def _rows(data: Dataset, n: int, seed: int) -> tuple[np.ndarray, Sequence[np.ndarray]]:
  """The test rows that are compared, and the training rows of the floor.

  For images, those of `make_reference`: so the floor is the same.
  """
  rng = np.random.default_rng(seed)
  test = rng.permutation(data.spec.num_test)[:n]
  return test, draw_subsets(rng, data.spec.num_train, n)
