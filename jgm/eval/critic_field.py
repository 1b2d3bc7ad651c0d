"""What a critic thinks of every place in the plane."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from jgm.core.state import Array
from jgm.eval.canvas import PRINT, as_points, new_figure, set_title, to_picture
from jgm.eval.plots import Frame, draw_points, outside_note, set_frame

Critic = Callable[[Array], Array]  # x [N, 2] -> [N]

# From what the critic takes for samples to what it takes for real: light throughout,
# in grey too, so that points are seen on all of it.
FIELD = LinearSegmentedColormap.from_list("field", ["#fbfaf7", "#ecdfc2", "#d0ae6c"])
REAL, SAMPLES, UNDECIDED = PRINT.ink, PRINT.accent, "#c8553d"
NUM_TICKS = 120  # of the grid, along each axis
NUM_LEVELS = 14  # about
LEAVE_OUT = 0.02  # of the places: the highest and lowest scores do not set the colours


def critic_field(
  score: Critic,
  samples: ArrayLike,
  real: ArrayLike,
  *,
  low: float,
  high: float,
  undecided: float | None = None,
) -> NDArray[np.uint8]:
  """A critic's score as filled contours, beneath real points and beneath samples.

  Where the field rises, the generator's samples are pushed next: its slope is what they
  follow. A critic that knows no better is flat.

  Args:
    score: the critic, [N, 2] -> [N]; higher where it holds points for real. It is
      called once, with the N places of a grid.
    samples: [M, 2] float; about a thousand can be told apart.
    real: [K, 2] float.
    low: the square is [low, high]^2.
    high: see `low`.
    undecided: a score to mark by a line: 0 of logits, where real and sample are held
      equally likely. None, as for a critic whose zero means nothing, marks none.

  Returns:
    [., ., 3] uint8: two panels in one frame and one scale of colours, with its bar. How
    many samples lie outside, and how many scores are not finite, is written.

  Raises:
    ValueError: where the points are not [., 2], the scores not [N], or low >= high.
  """
  if not low < high:
    raise ValueError(f"low must be less than high, not {low} and {high}")
  sets = {"real points": as_points(real), "samples": as_points(samples)}
  ticks = np.linspace(low, high, NUM_TICKS)
  field = score_on_grid(score, ticks)
  frame = Frame(np.full(2, (low + high) / 2), (high - low) / 2)
  figure = new_figure(9.6, 4.6)
  panels = [figure.add_subplot(1, 2, index) for index in (1, 2)]
  for axes, colour, (name, points) in zip(
    panels, (REAL, SAMPLES), sets.items(), strict=True
  ):
    filled = draw_field(axes, ticks, field, undecided=undecided)
    draw_points(axes, points, size=6, color=colour)
    set_frame(axes, frame)
    set_title(axes, name + outside_note(points, frame), PRINT)
  broken = int((~np.isfinite(field)).sum())
  draw_bar(figure, panels, filled, undecided=undecided, broken=broken)
  return to_picture(figure)


def score_on_grid(score: Critic, ticks: NDArray[np.float64]) -> NDArray[np.float64]:
  """The scores at all places (ticks[j], ticks[i]) as [i, j], from one call."""
  places = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
  scores = np.asarray(score(jnp.asarray(places, jnp.float32)), np.float64)
  if scores.shape != places.shape[:1]:
    raise ValueError(
      f"a critic's scores must be [N], not {list(scores.shape)} for N={len(places)}"
    )
  return scores.reshape(len(ticks), len(ticks))


def draw_field(
  axes: Axes,
  ticks: NDArray[np.float64],
  field: NDArray[np.float64],
  *,
  undecided: float | None,
) -> ContourSet:
  """Draws a field [i, j] over ticks [j] and ticks [i]; what is not finite is blank."""
  levels = contour_levels(field)
  field = np.ma.masked_invalid(field)
  grid = (ticks, ticks, field)
  lines: dict[str, Any] = {"linestyles": "solid", "zorder": 0.5}  # beneath points
  filled = axes.contourf(*grid, levels, cmap=FIELD, extend="both", zorder=0)
  axes.contour(*grid, levels, colors="white", linewidths=0.5, **lines)
  if undecided is not None and field.min() < undecided < field.max():
    axes.contour(*grid, [undecided], colors=[UNDECIDED], linewidths=1.4, **lines)
  return filled


def contour_levels(field: NDArray[np.float64]) -> NDArray[np.float64]:
  """Round numbers that rise through most of the finite scores: two or more."""
  known = field[np.isfinite(field)]
  if not known.size:
    return np.array([0.0, 1.0])
  low, high = np.quantile(known, [LEAVE_OUT / 2, 1 - LEAVE_OUT / 2])
  middle, half = (low + high) / 2, (high - low) / 2
  if half <= 1e-5 * abs(middle):  # flat: its rounding is not drawn
    half = 1e-3 * abs(middle) or 1.0
  levels = MaxNLocator(NUM_LEVELS).tick_values(middle - half, middle + half)
  return np.asarray(levels)


def draw_bar(
  figure: Figure,
  panels: list[Axes],
  filled: ContourSet,
  *,
  undecided: float | None,
  broken: int,
) -> None:
  """Draws the scale of colours to the right of all panels."""
  number = FuncFormatter(lambda x, _: f"{x:g}")
  bar = figure.colorbar(filled, ax=panels, aspect=28, pad=0.02, format=number)
  bar.outline.set_visible(False)
  bar.ax.tick_params(length=0, labelsize=8, labelcolor=PRINT.ink)
  words = "the critic's score: the darker, the more real it holds a point"
  if undecided is not None:
    lowest, *_, highest = filled.levels
    inside = lowest < undecided < highest
    words += f"\nred: {undecided:g}, undecided" + " (not among these)" * (not inside)
    if inside:
      bar.ax.axhline(undecided, color=UNDECIDED, lw=1.4)
  words += f"\n{broken:,} of {NUM_TICKS**2:,} places not finite" if broken else ""
  bar.set_label(words, fontsize=8.5, color=PRINT.ink)
