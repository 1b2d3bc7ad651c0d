"""How near a transferred photograph's palette comes to the one it is to have."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange

from jgm import ot
from jgm.core.experiment import Evaluation, Scalar
from jgm.core.state import Array, TrainState
from jgm.data.photos import HEIGHT, SPEC, read_photos
from jgm.eval.palettes import palette_plot
from jgm.eval.pictures import Picture, trajectory_strip

# (state, row, x [N, 3], y [M, 3]) -> both in the other's palette, the marginal error
Transfer = Callable[[TrainState, int, Array, Array], tuple[Array, Array, Array]]

LEVELS = 255  # a distance of colours in [0, 1] in grey levels
NUM_COLOURS = 3000  # of a palette, drawn
SHRINK = 2  # of the photographs, side by side


TEMPLE_AND_FLOWER = SPEC.class_names


def make_transfer_evaluation(
  transfer: Transfer,
  last_row: Callable[[TrainState], int],
  epsilons: Sequence[float],
  *,
  num_shown: int,
  num_samples: int,
) -> Callable[[TrainState, Array], Evaluation]:
  """The `evaluate` of colour transfer. Building it reads no photograph.

  Args:
    transfer: (state, row, x, y) -> (x in y's palette, y in x's, error), at epsilon
      number `row`.
    last_row: state -> the last row that it has solved.
    epsilons: of the rows, falling.
    num_shown: how many of them are shown.
    num_samples: pixels of each photograph whose colours are compared.

  Returns:
    (state, key) -> Evaluation. Each distance stands between that of two halves of the
    target's pixels and that of the photograph as it was.

  Raises:
    ValueError: if none are to be shown or compared.
  """
  if num_shown < 1 or num_samples < 2:
    raise ValueError(f"{num_shown} epsilons shown, {num_samples} pixels: both too few")

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    key_pixels, key_directions = jax.random.split(key)
    photos = read_photos()["photos"] / np.float32(LEVELS)
    colours = rearrange(photos, "p h w c -> p (h w) c")
    last = last_row(state)
    rows = sorted({round(i) for i in np.linspace(0, last, num_shown)} | {last})
    columns = {"photograph": colours, "linear map": linear_transfer(colours)}
    for row in rows:
      x, y, error = transfer(state, row, *colours)
      columns[f"epsilon {epsilons[row]:g}"] = np.stack([x, y])
    chosen = pixels(key_pixels, colours.shape[1], num_samples)
    scalars = distances(columns, chosen, key_directions)
    name = f"epsilon {epsilons[last]:g} mean costs, on the pixels of the plan"
    scalars["marginal_error"] = Scalar(float(error), 0.0, 2.0, "lower", name)
    return Evaluation(scalars, pictures(columns, chosen[0][:NUM_COLOURS]))

  return evaluate


def linear_transfer(colours: np.ndarray) -> np.ndarray:
  """Both palettes as Gaussians: the affine map between them, [2, N, 3] to the same."""
  means = colours.mean(axis=1)
  covs = [np.cov(each, rowvar=False).astype(np.float32) for each in colours]
  there = ot.gaussian_map(means[0], covs[0], means[1], covs[1])
  back = ot.gaussian_map(means[1], covs[1], means[0], covs[0])
  return np.stack([there(jnp.asarray(colours[0])), back(jnp.asarray(colours[1]))])


def pixels(key: Array, num_pixels: int, n: int) -> tuple[np.ndarray, np.ndarray]:
  """Two disjoint sets of pixels, each [n] or half of all."""
  order = np.asarray(jax.random.permutation(key, num_pixels))
  n = min(n, num_pixels // 2)
  return order[:n], order[n : 2 * n]


def distances(
  columns: dict[str, np.ndarray], chosen: tuple[np.ndarray, np.ndarray], key: Array
) -> dict[str, Scalar]:
  """How far each palette is from the one that it is to have, in grey levels."""
  one, other = chosen
  measure = jax.jit(ot.sliced_wasserstein)

  def distance(x: np.ndarray, y: np.ndarray) -> float:
    same_directions = jax.random.clone(key)
    return LEVELS * float(measure(x, y, key=same_directions)) ** 0.5

  real, found = columns["photograph"], {}
  for index, name in enumerate(TEMPLE_AND_FLOWER):
    other_name = TEMPLE_AND_FLOWER[1 - index]
    target, again = real[1 - index][other], real[1 - index][one]
    values = {
      column: distance(each[index][one], target) for column, each in columns.items()
    }
    before, *others, last = values.items()
    note = "; ".join(
      [
        f"sliced Wasserstein distance in levels of {LEVELS}, {len(one):,} pixels",
        *(f"{column}: {value:.3g}" for column, value in others),
        f"here {last[0]}; ceiling: as it was",
      ]
    )
    floor = distance(again, target)
    scalar = Scalar(last[1], floor, before[1], "lower", note)
    found[f"{name}_to_{other_name}_palette"] = scalar
  return found


def pictures(columns: dict[str, np.ndarray], chosen: np.ndarray) -> dict[str, Picture]:
  """The photographs side by side, and the palettes of the first and last columns."""
  frames = np.stack(list(columns.values()))
  frames = rearrange(frames, "k p (h w) c -> k p h w c", h=HEIGHT)
  frames = frames[:, :, ::SHRINK, ::SHRINK]
  sheet = trajectory_strip(frames, captions=list(columns), low=0.0, high=1.0)
  before, *_, after = columns.values()
  one, other = TEMPLE_AND_FLOWER
  palettes = {
    one: before[0][chosen],
    f"{other}, as the {one}": after[1][chosen],
    other: before[1][chosen],
    f"{one}, as the {other}": after[0][chosen],
  }
  return {
    "each photograph in the other's colours": sheet,
    "palettes": palette_plot(palettes),
  }
