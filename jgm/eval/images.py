"""The evaluation of a model of images: its numbers and its pictures."""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from jgm.core.experiment import Dataset, Evaluation, LogProb
from jgm.core.state import Array, TrainState
from jgm.eval import pictures
from jgm.eval.image_metrics import make_image_metrics
from jgm.eval.likelihood import held_out_likelihood

NUM_SHOWN = 64
NUM_PAIRS = 20

Frames = tuple[np.ndarray, Sequence[str]]  # [K, n, H, W, C], and K captions


def make_image_evaluation(
  data: Dataset,
  sample: Callable[..., Array],
  *,
  log_prob: LogProb | None = None,
  trajectory: Callable[[TrainState, Array], Frames] | None = None,
  num_samples: int,
  seed: int,
  chunk_size: int,
  inception: str | None = None,
  judge_steps: int | None = None,
) -> Callable[[TrainState, Array], Evaluation]:
  """The `evaluate` of an experiment with images. Building it reads no data.

  Args:
    data: the dataset that the samples are to resemble.
    sample: the experiment's (state, key, n) -> [n, H, W, C].
    log_prob: the experiment's, where it has one: its mean over held-out images.
    trajectory: (state, key) -> (frames [K, n, H, W, C], K captions): how n samples
      arise, where there is something to see.
    num_samples: N of the comparisons; fewer where there are fewer test images.
    seed: of the evaluation's own nets and subsets.
    chunk_size: images at a time, for the likelihood.
    inception: the file of Inception's weights, for FID proper; None: no FID.
    judge_steps: training steps of the evaluation's nets; None: their own choice.

  Returns:
    (state, key) -> Evaluation.
  """
  metrics = make_image_metrics(
    data,
    num_samples=num_samples,
    seed=seed,
    training_steps=judge_steps,
    inception=inception,
  )
  value_range = {"low": data.spec.low, "high": data.spec.high}

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    key_samples, key_trajectory, key_log_prob = jax.random.split(key, 3)
    samples = np.asarray(sample(state, key_samples, num_samples))
    scalars, images = {}, {}
    if log_prob is not None:
      scalars = held_out_likelihood(
        log_prob, state, data, key_log_prob, num_examples=num_samples, chunk=chunk_size
      )
    shown = samples[:NUM_SHOWN]
    images["samples"] = pictures.sample_picture(
      shown, data.spec, real=data.split("test")["image"][: len(shown)]
    )
    if trajectory is not None:
      frames, captions = trajectory(state, key_trajectory)
      images["how samples arise"] = pictures.trajectory_strip(
        frames, captions=captions, **value_range
      )
    scores = metrics(samples)
    nearest = scores.nearest[:NUM_PAIRS]
    images["nearest training images"] = pictures.neighbour_pairs(
      samples[: len(nearest)], data.split("train")["image"][nearest], **value_range
    )
    return Evaluation({**scalars, **scores.scalars}, images, scores.warnings)

  return evaluate
