"""The evaluation of a model of points in the plane: its numbers and its pictures."""

import functools
from collections.abc import Callable, Mapping

import jax
import numpy as np

from jgm.core.experiment import Dataset, Evaluation, LogProb, Scalar
from jgm.core.state import Array, TrainState
from jgm.data.toys import exact_log_density, exact_mixture
from jgm.eval.additions import OwnPictures, OwnScalars, Trajectory, with_own
from jgm.eval.floors import num_compared
from jgm.eval.likelihood import held_out_likelihood
from jgm.eval.plots import scatter_2d, scatter_strip
from jgm.eval.point_metrics import point_scores
from jgm.eval.point_reference import MAX_POINTS, PointReference, make_point_reference


def make_points_evaluation(
  data: Dataset,
  sample: Callable[..., Array],
  *,
  log_prob: LogProb | None = None,
  trajectory: Trajectory | None = None,
  pictures: OwnPictures | None = None,
  scalars: OwnScalars | None = None,
  chunk_size: int = 1000,
  num_samples: int,
  seed: int,
) -> Callable[[TrainState, Array], Evaluation]:
  """The `evaluate` of an experiment on points in the plane. Building it reads no data.

  Of a Gaussian mixture it also says which modes the samples reach: of a good model all
  (8 of 8 on the ring, 25 of 25 on the grid), and a lost one gives a warning.

  Args:
    data: the dataset that the samples are to resemble.
    sample: the experiment's (state, key, n) -> [n, 2].
    log_prob: the experiment's, where it has one: its mean over held-out points, beside
      that of the exact density where the data's is known.
    trajectory: (state, key) -> (frames [K, n, 2], K captions): how n samples arise.
    pictures: (state, key) -> {caption: picture}, those of this experiment alone.
    scalars: (state, key) -> {name: Scalar}, the numbers of this experiment alone.
    chunk_size: points at a time, for the likelihood.
    num_samples: points of the likelihood; of all else at most 2,000.
    seed: of the evaluation's own subsets.

  Returns:
    (state, key) -> Evaluation. Its first call measures real points against real ones.

  Raises:
    ValueError: if the data are not points in the plane, or fewer than 20 are compared.
  """
  spec = data.spec
  if spec.shape != (2,):
    raise ValueError(
      f"{data.name} has examples of shape {list(spec.shape)}: only images [H, W, C] "
      "and points in the plane [2] can be evaluated"
    )
  n = min(num_samples, MAX_POINTS)
  n = num_compared(n, spec.num_train, spec.num_test, name=data.name)

  @functools.cache
  def reference() -> PointReference:
    return make_point_reference(
      data.split("train"),
      data.split("test"),
      spec=spec,
      name=data.name,
      num_samples=n,
      seed=seed,
      mixture=exact_mixture(data),
    )

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    key_samples, key_frames, key_log_prob, key_own = jax.random.split(key, 4)
    samples = np.asarray(sample(state, key_samples, n))
    likelihood: Mapping[str, Scalar] = {}
    if log_prob is not None:
      likelihood = held_out_likelihood(
        log_prob,
        state,
        data,
        key_log_prob,
        num_examples=num_samples,
        chunk=chunk_size,
        floor=exact_nats(data, num_samples),
      )
    scores = point_scores(samples, reference())
    real = reference().test
    drawn = {"samples": scatter_2d(samples, real)}
    if trajectory is not None:
      frames, captions = trajectory(state, key_frames)
      drawn["how samples arise"] = scatter_strip(frames, captions=captions, real=real)
    found = Evaluation({**likelihood, **scores.scalars}, drawn, scores.warnings)
    return with_own(found, state, key_own, pictures=pictures, scalars=scalars)

  return evaluate


def exact_nats(data: Dataset, num_examples: int) -> float | None:
  """The mean of -log density of the first test points; None where it is not known."""
  log_density = exact_log_density(data)
  if log_density is None:
    return None
  return -float(np.mean(log_density(data.split("test")["x"][:num_examples])))
