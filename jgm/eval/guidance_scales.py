"""What guidance buys and what it costs: classes told apart, and samples alike."""

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jgm.core.experiment import Dataset, Evaluation, Scalar
from jgm.core.state import Array, TrainState
from jgm.eval.class_conditional import BETTER, Real, as_scalar, measure, measure_real
from jgm.eval.floors import num_compared
from jgm.eval.line_plot import line_plot
from jgm.eval.measures import Measures, look
from jgm.eval.pictures import Picture, trajectory_strip
from jgm.samplers.labels import class_labels

NUM_CLASSES_SHOWN = 10


def make_guidance_scales(
  data: Dataset,
  sample: Callable[..., Array],
  *,
  scales: Sequence[float],
  num_samples: int,
  seed: int,
  net_steps: int | None = None,
) -> Callable[[TrainState, Array], Evaluation]:
  """The numbers and pictures of samples by guidance scale, all from the same noise.

  Args:
    data: the dataset, of images with classes.
    sample: (state, key, n, *, guidance) -> [n, H, W, C], the classes in turn.
    scales: w, growing.
    num_samples: N at each scale; see `num_compared`.
    seed: of the evaluation's own nets and subsets.
    net_steps: training steps of the nets; the same as in `make_image_evaluation`, so
      that they are found in the cache.

  Returns:
    (state, key) -> Evaluation. For each scale: the share of samples that the judge, a
    classifier that the model knows nothing of, takes for their class; the mean distance
    of features within a class; and the Fréchet distance. Building it reads no data.

  Raises:
    ValueError: if there are no scales, or too few examples to compare.
  """
  if not scales or list(scales) != sorted(set(scales)):
    raise ValueError(f"config.eval.scales grows, and is not empty; got {scales}")
  spec = data.spec
  n = num_compared(num_samples, spec.num_train, spec.num_test, name=data.name)

  @functools.cache
  def real() -> Real:
    return measure_real(data, n, seed=seed, net_steps=net_steps)

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    drawn = {
      w: np.asarray(sample(state, key, n, guidance=w)).clip(spec.low, spec.high)
      for w in scales
    }
    labels = np.asarray(class_labels(n, spec.num_classes))
    found = {w: measure(look(x, real().nets), labels, real()) for w, x in drawn.items()}
    scalars = {
      f"{name}_w{w:g}": scalar
      for name in BETTER
      for w, scalar in as_scalars(name, found, real(), spec.num_classes).items()
    }
    shown = min(spec.num_classes, NUM_CLASSES_SHOWN)
    grid = trajectory_strip(
      np.stack([x[:shown] for x in drawn.values()]),
      low=spec.low,
      high=spec.high,
      captions=[f"w = {w:g}" for w in scales],
    )
    grid_caption = "guidance: more to the right, a class and its noise in each row"
    return Evaluation(scalars, {grid_caption: grid, **curves(found, real().measures)})

  return evaluate


def as_scalars(
  name: str, found: Mapping[float, Measures], real: Real, num_classes: int
) -> dict[float, Scalar]:
  """One quantity at each scale, beside that of real images."""
  n = len(real.test.pixels)
  return {
    w: as_scalar(name, measures[name], real, num_classes, n, f"guidance w = {w:g}; ")
    for w, measures in found.items()
  }


def curves(found: Mapping[float, Measures], real: Measures) -> dict[str, Picture]:
  """The scale against accuracy and diversity, and against the Fréchet distance."""
  w = list(found)
  of = lambda name: [measures[name] for measures in found.values()]
  relative = [value / real["class_diversity"] for value in of("class_diversity")]
  shares = line_plot(
    {
      "class accuracy": (w, of("class_accuracy")),
      "diversity within a class": (w, relative),
      "recall": (w, of("recall")),
    },
    x_label="guidance scale w; 0 is the conditional model",
    y_label="share; diversity: real images are 1",
    title="What guidance buys, and what it costs",
    floor=real["class_accuracy"],
    floor_label="real: accuracy",
  )
  frechet = line_plot(
    {"samples": (w, of("frechet_distance"))},
    x_label="guidance scale w; 0 is the conditional model",
    y_label="Fréchet distance",
    floor=real["frechet_distance"],
    floor_label="real images",
  )
  return {
    "the scale against accuracy and diversity": shares,
    "the scale against the Fréchet distance": frechet,
  }
