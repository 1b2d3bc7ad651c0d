"""How many examples are compared, and what real data score in the samples' place.

A number alone says nothing: a distance between two sets depends on how many there are
in each. So everything is measured twice, the second time with a subset of the real
training data in the samples' place. The subset is drawn several times, so that the
floor is not luck.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

NUM_SUBSETS = 5  # training subsets that a floor is the mean of
MIN_SAMPLES = 20


class Floor(NamedTuple):
  """A quantity for real data in the samples' place."""

  mean: float
  spread: float  # standard deviation over the subsets; 0 where there was only one set


def num_compared(num_samples: int, num_train: int, num_test: int, *, name: str) -> int:
  """How many samples are compared with as many held-out examples, N.

  Args:
    num_samples: how many are wanted.
    num_train: of these a floor takes N, and as many again must be left.
    num_test: how many are held out.
    name: the data's name.

  Returns:
    The most that all three allow.

  Raises:
    ValueError: if that is fewer than 20.
  """
  n = min(num_samples, num_test, num_train // 2)
  if n < MIN_SAMPLES:
    raise ValueError(
      f"config.eval.num_samples={num_samples} on {name} leaves {n} examples to compare "
      f"({num_test:,} are held out, {num_train:,} for training): {MIN_SAMPLES} are the "
      "least"
    )
  return n


def floors(measures: Sequence[Mapping[str, float]]) -> dict[str, Floor]:
  """The mean and the standard deviation of each quantity over several sets."""
  ddof = min(1, len(measures) - 1)
  values = {name: [m[name] for m in measures] for name in measures[0]}
  return {
    name: Floor(float(np.mean(v)), float(np.std(v, ddof=ddof)))
    for name, v in values.items()
  }


def draw_subsets(
  rng: np.random.Generator, num_train: int, n: int
) -> Sequence[np.ndarray]:
  """The rows [n] of several training subsets."""
  return [rng.permutation(num_train)[:n] for _ in range(NUM_SUBSETS)]
