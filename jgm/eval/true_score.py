"""A learned score beside the true one, where the data's is known."""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jgm.core.experiment import Scalar
from jgm.core.state import Array
from jgm.eval.plots import vector_fields

DataScore = Callable[[Array], Array]  # x [N, D] -> [N, D]


def score_errors(
  score: DataScore, true_score: DataScore, points: Mapping[str, Array]
) -> dict[str, Scalar]:
  """The mean of ||s - grad log p||^2, at one or several sets of points.

  Args:
    score: the learned one.
    true_score: the gradient of the log-density.
    points: name -> [N, D] float. Over points of the density itself it is twice the
      explicit score-matching loss.

  Returns:
    {"score_error_NAME": Scalar}. The floor is 0, the ceiling that of a score of 0.

  Reference: Hyvärinen 2005, eq. 2. https://jmlr.org/papers/v6/hyvarinen05a.html
  """
  found = {}
  for name, x in points.items():
    truth = true_score(x)
    error, ceiling = mean_square(score(x) - truth), mean_square(truth)
    note = f"E ||s - grad log p||^2 at {len(x):,} points; ceiling: s = 0"
    found[f"score_error_{name}"] = Scalar(error, 0.0, ceiling, "lower", note)
  return found


def score_fields(
  scores: Mapping[str, DataScore], *, low: float, high: float, samples: ArrayLike
) -> NDArray[np.uint8]:
  """Scores as arrows over a square of the plane, side by side.

  Args:
    scores: caption -> a score.
    low: the square is [low, high]^2.
    high: see `low`.
    samples: [M, 2] float, drawn beneath.

  Returns:
    [., ., 3] uint8.
  """
  ticks = jnp.linspace(low, high, 20)
  grid = jnp.stack(jnp.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
  fields = {name: (grid, score(grid)) for name, score in scores.items()}
  return vector_fields(fields, samples=samples)


def mean_square(vectors: Array) -> float:
  """The mean over [N, D] of the squared length."""
  return float(jnp.mean(jnp.sum(jnp.square(vectors), axis=1)))
