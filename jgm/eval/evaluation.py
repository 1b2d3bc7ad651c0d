"""The evaluation that suits the data: of images, or of points in the plane."""

from collections.abc import Callable
from typing import Any

from jgm.core.experiment import Dataset, Evaluation, LogProb
from jgm.core.state import Array, TrainState
from jgm.eval.additions import OwnPictures, OwnScalars, Trajectory
from jgm.eval.images import make_image_evaluation
from jgm.eval.points import make_points_evaluation


def make_evaluation(
  data: Dataset,
  sample: Callable[..., Array],
  *,
  log_prob: LogProb | None = None,
  trajectory: Trajectory | None = None,
  pictures: OwnPictures | None = None,
  scalars: OwnScalars | None = None,
  chunk_size: int,
  num_samples: int,
  seed: int,
  net_steps: int | None = None,
  inception: str | None = None,
) -> Callable[[TrainState, Array], Evaluation]:
  """The `evaluate` of an experiment on images or on points. Building it reads no data.

  Args:
    data: the dataset that the samples are to resemble.
    sample: the experiment's (state, key, n) -> [n, *data.spec.shape].
    log_prob: the experiment's, where it has one.
    trajectory: (state, key) -> (frames [K, n, *data.spec.shape], K captions).
    pictures: (state, key) -> {caption: picture}, those of this experiment alone.
    scalars: (state, key) -> {name: Scalar}, the numbers of this experiment alone.
    chunk_size: examples at a time, for the likelihood.
    num_samples: see `make_image_evaluation` and `make_points_evaluation`.
    seed: of the evaluation's own nets and subsets.
    net_steps: training steps of the nets that look at images; points need none.
    inception: the file of Inception's weights, for images.

  Returns:
    (state, key) -> Evaluation.

  Raises:
    ValueError: if the data are neither images nor points in the plane, there are too
      few to compare, or Inception is to look at points.
    FileNotFoundError: if there is no file of Inception's weights.
  """
  common: dict[str, Any] = {
    "log_prob": log_prob,
    "trajectory": trajectory,
    "pictures": pictures,
    "scalars": scalars,
    "chunk_size": chunk_size,
    "num_samples": num_samples,
    "seed": seed,
  }
  if len(data.spec.shape) == 3:
    return make_image_evaluation(
      data, sample, net_steps=net_steps, inception=inception, **common
    )
  if inception is not None:
    raise ValueError(
      f"config.eval.inception is for images: the examples of {data.name} are of shape "
      f"{list(data.spec.shape)}"
    )
  return make_points_evaluation(data, sample, **common)
