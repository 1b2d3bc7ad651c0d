"""The evaluation of a model of images: its numbers and its pictures."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jgm.core.experiment import Dataset, Evaluation, Scalar
from jgm.eval import pictures
from jgm.eval.image_metrics import make_image_metrics

NUM_SHOWN = 64
NUM_PAIRS = 20


def make_image_evaluation(
  data: Dataset,
  *,
  num_samples: int,
  seed: int,
  inception: str | None = None,
  judge_steps: int | None = None,
) -> Callable[..., Evaluation]:
  """A function from samples to their evaluation. Building it reads no data.

  Args:
    data: the dataset that the samples are to resemble.
    num_samples: N of the comparisons; fewer where there are fewer test images.
    seed: of the evaluation's own nets and subsets.
    inception: the file of Inception's weights, for FID proper; None: no FID.
    judge_steps: training steps of the evaluation's nets; None: their own choice.

  Returns:
    (samples [N, H, W, C], scalars, frames, captions) -> Evaluation, where `scalars` are
    what the experiment measured itself, and `frames` [K, n, H, W, C] show how n samples
    arose, with K `captions`.
  """
  metrics = make_image_metrics(
    data,
    num_samples=num_samples,
    seed=seed,
    training_steps=judge_steps,
    inception=inception,
  )
  value_range = {"low": data.spec.low, "high": data.spec.high}

  def evaluate(
    samples: np.ndarray,
    scalars: Mapping[str, Scalar],
    *,
    frames: np.ndarray | None = None,
    captions: Sequence[str] | None = None,
  ) -> Evaluation:
    samples = np.asarray(samples)
    scores = metrics(samples)
    train, test = data.split("train")["image"], data.split("test")["image"]
    shown = min(NUM_SHOWN, len(samples), len(test))
    nearest = np.asarray(train)[scores.nearest[:NUM_PAIRS]]
    images = {
      "samples": pictures.side_by_side(samples[:shown], test[:shown], **value_range)
    }
    if frames is not None:
      images["how samples arise"] = pictures.trajectory_strip(
        frames, captions=captions, **value_range
      )
    images["nearest training images"] = pictures.neighbour_pairs(
      samples[: len(nearest)], nearest, **value_range
    )
    return Evaluation({**scalars, **scores.scalars}, images, scores.warnings)

  return evaluate
