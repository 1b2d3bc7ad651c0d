"""The evaluation of a model of images: its numbers and its pictures."""

import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jgm.core.experiment import Dataset, Evaluation, LogProb, Scalar
from jgm.core.state import Array, TrainState
from jgm.data.spec import DataSpec, is_image
from jgm.eval.additions import (
  Frames,
  OwnPictures,
  OwnScalars,
  Trajectory,
  with_own,
)
from jgm.eval.floors import num_compared
from jgm.eval.image_metrics import image_scores
from jgm.eval.inception import load_inception
from jgm.eval.likelihood import held_out_likelihood
from jgm.eval.pictures import (
  Picture,
  neighbour_pairs,
  sample_picture,
  trajectory_strip,
)
from jgm.eval.reference import Reference, make_reference

NUM_SHOWN = 64
NUM_PAIRS = 20


def make_image_evaluation(
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
  """The `evaluate` of an experiment with images. Building it reads no data.

  Args:
    data: the dataset that the samples are to resemble.
    sample: the experiment's (state, key, n) -> [n, H, W, C].
    log_prob: the experiment's, where it has one: its mean over held-out images.
    trajectory: (state, key) -> (frames [K, n, H, W, C], K captions): how n samples
      arise, where there is something to see.
    pictures: (state, key) -> {caption: picture}, those of this experiment alone.
    scalars: (state, key) -> {name: Scalar}, the numbers of this experiment alone.
    chunk_size: images at a time, for the likelihood.
    num_samples: samples of the FID. All else is of as many, but of no more than there
      are test images, or half of the training images.
    seed: of the evaluation's own nets and subsets.
    net_steps: training steps of each of these nets; None: their own choice.
    inception: the file of Inception's weights, for FID proper; None: no FID.

  Returns:
    (state, key) -> Evaluation. Its first call trains the nets, or finds them in the
    cache, and measures real images against real ones; the later ones only measure.

  Raises:
    ValueError: if there is nothing to compare: no images, or fewer than 20.
    FileNotFoundError: if there is no file of Inception's weights. It is read later.
  """
  spec = data.spec
  check_images(spec, data.name, inception)
  compared = num_compared(num_samples, spec.num_train, spec.num_test, name=data.name)
  num_drawn = compared if inception is None else num_samples

  @functools.cache
  def reference() -> Reference:
    return make_reference(
      data.split("train"),
      data.split("test"),
      spec=spec,
      name=data.name,
      num_samples=num_samples,
      seed=seed,
      net_steps=net_steps,
      inception=None if inception is None else load_inception(inception, spec),
    )

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    key_samples, key_frames, key_log_prob, key_own = jax.random.split(key, 4)
    samples = np.asarray(sample(state, key_samples, num_drawn))
    frames = None if trajectory is None else trajectory(state, key_frames)
    likelihood: Mapping[str, Scalar] = {}
    if log_prob is not None:
      likelihood = held_out_likelihood(
        log_prob, state, data, key_log_prob, num_examples=num_samples, chunk=chunk_size
      )
    scores = image_scores(samples, reference())
    drawn = draw_images(samples, scores.nearest, reference(), frames)
    found = Evaluation({**likelihood, **scores.scalars}, drawn, scores.warnings)
    return with_own(found, state, key_own, pictures=pictures, scalars=scalars)

  return evaluate


def draw_images(
  samples: np.ndarray,
  nearest: np.ndarray,
  reference: Reference,
  frames: Frames | None,
) -> dict[str, Picture]:
  """The pictures that every model of images has, by caption.

  Args:
    samples: [N or more, H, W, C] float.
    nearest: [M] int, the training image nearest to each of the first M.
    reference: holds the real images.
    frames: how samples arise, or None.

  Returns:
    Samples beside real images; how they arise; and beside the nearest training images.
  """
  spec = reference.spec
  value_range: dict[str, Any] = {"low": spec.low, "high": spec.high}
  real = reference.test.pixels[:NUM_SHOWN]
  pictures = {"samples": sample_picture(samples[: len(real)], spec, real=real)}
  if frames is not None:
    pictures["how samples arise"] = trajectory_strip(
      frames[0], captions=frames[1], **value_range
    )
  nearest = nearest[:NUM_PAIRS]
  pictures["nearest training images"] = neighbour_pairs(
    samples[: len(nearest)], reference.train.pixels[nearest], **value_range
  )
  return pictures


def check_images(spec: DataSpec, name: str, inception: str | None) -> None:
  """Raises, before anything is trained, where these data cannot be evaluated.

  Args:
    spec: the data's.
    name: the data's name.
    inception: the file of Inception's weights, or None.

  Raises:
    ValueError: if they are no images, or no features can be learnt of them.
    FileNotFoundError: if there is no file of Inception's weights.
  """
  if not is_image(spec.shape):
    raise ValueError(
      f"{name} has examples of shape {list(spec.shape)}: this is the evaluation of "
      "images, [H, W, 1 or 3]"
    )
  if spec.num_classes < 2 and spec.shape[0] != spec.shape[1]:
    raise ValueError(
      f"{name} has no labels and images of {spec.shape[0]}x{spec.shape[1]}: without "
      "labels only square images can be evaluated"
    )
  if inception is not None and not pathlib.Path(inception).is_file():
    raise FileNotFoundError(f"config.eval.inception: there is no file {inception}")
