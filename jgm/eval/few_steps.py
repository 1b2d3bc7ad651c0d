"""What a flow is worth in few steps: how straight it is, and how good its samples."""

from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from jgm.core.experiment import Dataset, Evaluation, Scalar
from jgm.core.state import Array, PyTree
from jgm.eval.distance import Distance, make_distance
from jgm.eval.line_plot import line_plot
from jgm.eval.path_plot import path_lines
from jgm.eval.pictures import Picture, trajectory_strip
from jgm.eval.plots import scatter_strip
from jgm.samplers.chunks import in_chunks
from jgm.samplers.euler import Flow, Velocity, euler, euler_path
from jgm.samplers.labels import class_labels

# (params, label [B]) -> the velocity of these classes
VelocityOf = Callable[[PyTree, Array], Velocity]

NUM_IMAGES, NUM_POINTS, NUM_PATHS = 6, 600, 120  # that are shown
PATH_STEPS = 64
CURVE = "quality against the number of Euler steps"
STRIP = "{}: the same noise in more and more Euler steps"


def make_few_steps(
  data: Dataset,
  velocity: VelocityOf,
  *,
  num_classes: int | None,
  steps: Sequence[int],
  chunk_size: int,
  num_samples: int,
  seed: int,
  net_steps: int | None = None,
) -> Callable[[Mapping[str, PyTree], Array], Evaluation]:
  """Measures a flow in so many Euler steps, beside others if there are others.

  Args:
    data: the dataset.
    velocity: of the flow, dx_t / dt, with noise at t = 1.
    num_classes: K of a conditional model; None where the model knows no classes.
    steps: numbers of steps, growing.
    chunk_size: samples at a time.
    num_samples: see `make_distance`, as the two that follow.
    seed: of the evaluation's own nets and subsets.
    net_steps: training steps of the feature net.

  Returns:
    ({name: params}, key) -> Evaluation. The numbers are of the first flow, those of the
    others are in their notes. Building it reads no data.

  Raises:
    ValueError: if the steps do not grow, or there is too little data to compare.
  """
  if not steps or min(steps) < 1 or list(steps) != sorted(set(steps)):
    raise ValueError(f"config.eval.euler_steps grows, from 1 at least; got {steps}")
  distance = make_distance(
    data, num_samples=num_samples, seed=seed, net_steps=net_steps
  )

  @jax.jit
  def draw(params: PyTree, key: Array, label: Array, num_steps: int) -> Flow:
    x_1 = jax.random.normal(key, (len(label), *data.spec.shape))
    return euler(velocity(params, label), x_1, num_steps)

  @jax.jit
  def paths(params: PyTree, key: Array) -> Array:
    x_1 = jax.random.normal(key, (NUM_PATHS, *data.spec.shape))
    label = class_labels(NUM_PATHS, num_classes)
    return euler_path(velocity(params, label), x_1, PATH_STEPS)

  def walk(params: PyTree, key: Array, num_steps: int) -> Flow:
    label = class_labels(distance.num_samples, num_classes)
    one = lambda key, label: draw(params, key, label, num_steps)
    return in_chunks(one, key, label, size=min(chunk_size, len(label)))

  def evaluate(flows: Mapping[str, PyTree], key: Array) -> Evaluation:
    key_walks, key_paths = jax.random.split(key)
    walks = {
      name: [walk(params, key_walks, number) for number in steps]
      for name, params in flows.items()
    }
    distances = {
      name: [distance.of(each.x_0) for each in rows] for name, rows in walks.items()
    }
    pictures = {CURVE: _curve(distances, steps, distance)}
    for name, rows in walks.items():
      pictures[STRIP.format(name)] = _strip(data, [each.x_0 for each in rows], steps)
    if len(data.spec.shape) == 1:
      lines = {  # the same noise for all
        name: paths(params, jax.random.clone(key_paths))
        for name, params in flows.items()
      }
      real = data.split("test")["x"][:NUM_POINTS]
      pictures["paths from noise to data"] = path_lines(lines, real=real)
    straightness = _straightness({name: rows[-1] for name, rows in walks.items()})
    return Evaluation(
      {"straightness": straightness, **_scalars(distances, steps, distance)}, pictures
    )

  return evaluate


def _curve(
  distances: Mapping[str, Sequence[float]], steps: Sequence[int], distance: Distance
) -> Picture:
  return line_plot(
    {name: (steps, values) for name, values in distances.items()},
    x_label="Euler steps",
    y_label=f"{distance.label} to held-out data",
    log_x=True,
    log_y=True,
    floor=distance.floor().mean,
    floor_label="real data",
  )


def _straightness(finest: Mapping[str, Flow]) -> Scalar:
  """S(Z) of each flow, from its walk of most steps."""
  values = [float(np.mean(each.bending)) for each in finest.values()]
  return Scalar(
    values[0],
    floor=0.0,
    ceiling=float(np.mean(next(iter(finest.values())).energy)),
    note=_with_others(
      "E of the integral of ||(x_1 - x_0) - v||^2, Liu et al. 2023; floor: straight "
      "paths; ceiling: that of ||v||^2, paths that lead back to where they began",
      list(finest),
      values,
    ),
  )


def _scalars(
  distances: Mapping[str, Sequence[float]], steps: Sequence[int], distance: Distance
) -> dict[str, Scalar]:
  floor = distance.floor()
  found = {}
  for i, number in enumerate(steps):
    name = f"{distance.name}_in_{number}_step" + "s" * (number > 1)
    values = [rows[i] for rows in distances.values()]
    note = f"Euler's; {distance.note}; floor ± {floor.spread:.2g}"
    note = _with_others(note, list(distances), values)
    found[name] = Scalar(values[0], floor.mean, None, "lower", note)
  return found


def _with_others(note: str, names: Sequence[str], values: Sequence[float]) -> str:
  others = zip(names[1:], values[1:], strict=True)
  return "; ".join([note, *(f"{name}: {value:.4g}" for name, value in others)])


def _strip(data: Dataset, samples: Sequence[Array], steps: Sequence[int]) -> Picture:
  """A column for each number of steps."""
  captions = [f"{number} step" + "s" * (number > 1) for number in steps]
  spec, frames = data.spec, np.stack([np.asarray(each) for each in samples])
  if len(spec.shape) == 3:
    return trajectory_strip(
      frames[:, :NUM_IMAGES], captions=captions, low=spec.low, high=spec.high
    )
  real = data.split("test")["x"][:NUM_POINTS]
  return scatter_strip(frames[:, :NUM_POINTS], captions=captions, real=real)
