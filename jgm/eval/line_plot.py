"""A quantity against another, as lines that are named where they end."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from jgm.eval.canvas import (
  DASHES,
  PRINT,
  new_figure,
  set_log_ticks,
  set_title,
  style,
  to_picture,
)

# The house's blue first; told apart in grey, too, by the markers.
COLOURS = ("#2f6690", "#c8553d", "#4d7c4a", "#8a5a8f", "#b8860b", "#5b5f66")
MARKERS = ("o", "s", "^", "D", "v", "P")
LABEL_HEIGHT = 0.075  # of the axes
MOST_TICKS = 8

Series = tuple[ArrayLike, ...]  # x [n], y [n] and, if there is one, the spread of y [n]


def line_plot(
  series: Mapping[str, Series],
  *,
  x_label: str,
  y_label: str,
  title: str = "",
  log_x: bool = False,
  log_y: bool = False,
  floor: float | None = None,
  floor_label: str = "floor",
) -> NDArray[np.uint8]:
  """Lines through measured points, each named at its right end.

  Args:
    series: name -> (x [n], y [n]) or (x [n], y [n], spread [n]), the points in the
      order in which they are joined; the spread is drawn as a band of y +- spread.
    x_label: what x is, with its unit.
    y_label: what y is, with its unit.
    title: a line above the plot, or nothing.
    log_x: whether the x axis is logarithmic.
    log_y: whether the y axis is logarithmic.
    floor: a level to mark by a dashed line; None marks none.
    floor_label: what the level is.

  Returns:
    [., ., 3] uint8. How many points cannot be drawn, as they are not finite or not
    positive on a logarithmic axis, is written beside the name.

  Raises:
    ValueError: where there is nothing to draw, or the lengths of a series differ.
  """
  if not series:
    raise ValueError("there is no series to draw")
  figure = new_figure(6.4, 3.9)
  axes = figure.add_subplot()
  style(axes, PRINT)
  axes.set(xscale="log" if log_x else "linear", yscale="log" if log_y else "linear")
  lines = [as_line(name, values) for name, values in series.items()]
  kept = [line[drawable(line, log_x=log_x, log_y=log_y)] for line in lines]
  ends = []
  if floor is not None and math.isfinite(floor) and (floor > 0 or not log_y):
    axes.axhline(floor, color=PRINT.ink, lw=0.9, ls=DASHES)
    ends.append(End(floor_label, None, floor, PRINT.ink, "_"))
  for index, (name, line, points) in enumerate(zip(series, lines, kept, strict=True)):
    colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    axes.plot(points[:, 0], points[:, 1], color=colour, lw=1.6, marker=marker, ms=4.5)
    missing = len(line) - len(points)
    words = name + f" ({missing} of {len(line)} not drawn)" * (missing > 0)
    x_end, y_end = points[-1, :2] if len(points) else (None, None)
    ends.append(End(words, x_end, y_end, colour, marker))
  x = np.concatenate(kept)[:, 0]
  set_ticks(axes.xaxis, x, log=log_x, few=0 < len(np.unique(x)) <= MOST_TICKS)
  set_ticks(axes.yaxis, np.array(axes.get_ylim()), log=log_y)
  for index, points in enumerate(kept):
    draw_band(axes, points, COLOURS[index % len(COLOURS)])
  label_ends(axes, ends)
  axes.set_xlabel(x_label, fontsize=9, color=PRINT.ink)
  set_title(axes, title + "\n" * bool(title) + y_label, PRINT)
  return to_picture(figure)


class End(NamedTuple):
  """What is written at the right end of a line."""

  words: str
  x: float | None  # of the line's last point; None where it goes through
  y: float | None  # None where no point of it can be drawn
  colour: str
  marker: str


def as_line(name: str, values: Series) -> NDArray[np.float64]:
  """A series as [n, 3]: x, y, spread; the spread is 0 where there is none."""
  columns = [np.asarray(column, np.float64) for column in values]
  if len(columns) == 2:
    columns.append(np.zeros_like(columns[1]))
  shapes = {column.shape for column in columns}
  if len(columns) != 3 or len(shapes) != 1 or columns[0].ndim != 1:
    found = ", ".join(str(list(np.shape(column))) for column in values)
    raise ValueError(f"{name!r} must be x [n], y [n] and perhaps a spread [n]; {found}")
  return np.stack(columns, axis=1)


def drawable(
  line: NDArray[np.float64], *, log_x: bool, log_y: bool
) -> NDArray[np.bool_]:
  """Which points [n] of a line [n, 3] have a place on the axes."""
  x, y = line[:, 0], line[:, 1]
  fits = np.isfinite(x) & np.isfinite(y)
  return fits & ((x > 0) | (not log_x)) & ((y > 0) | (not log_y))


def draw_band(axes: Axes, line: NDArray[np.float64], colour: str) -> None:
  """Fills y +- spread, above the foot of the axes."""
  x, y, spread = line.T
  spread = np.where(np.isfinite(spread), spread, 0.0)
  if spread.any():
    # A logarithmic axis has no place for what is below zero.
    low = y - spread
    if axes.get_yscale() == "log":
      low = np.maximum(low, axes.get_ylim()[0])
    axes.fill_between(x, low, y + spread, color=colour, alpha=0.18, linewidth=0)


def set_ticks(
  axis: Axis, values: NDArray[np.float64], *, log: bool, few: bool = False
) -> None:
  """Ticks of an axis that shows `values`; at these themselves where they are `few`."""
  if not log:
    axis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
  elif few:
    axis.set_major_locator(FixedLocator(np.unique(values).tolist()))
    axis.set_minor_locator(NullLocator())
  elif len(values):
    set_log_ticks(axis, values.min(), values.max())
  axis.set_major_formatter(FuncFormatter(lambda value, _: tick_label(value)))


def tick_label(value: float) -> str:
  """A number as an axis shows it: 0.5, 2,000, 50k, 3M."""
  for unit, letter in ((1e6, "M"), (1e3, "k")):
    if abs(value) >= 10 * unit:
      return f"{value / unit:g}{letter}"
  return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def label_ends(axes: Axes, ends: Sequence[End]) -> None:
  """Writes each line's name to the right of the axes, none over another.

  A thin line leads to it from a line that ends nearby; to one that ends earlier, it
  would cross the others: the marker says which it is.
  """
  right = axes.get_xlim()[1]
  to_axes = axes.transScale + axes.transLimits
  lefts = [
    (0.0, 0.0)
    if end.y is None
    else to_axes.transform((right if end.x is None else end.x, end.y))
    for end in ends
  ]
  heights = spread_out(np.array([left[1] for left in lefts]))
  for end, left, height in zip(ends, lefts, heights, strict=True):
    beside: dict[str, Any] = {
      "transform": axes.transAxes,
      "color": end.colour,
      "clip_on": False,
    }
    if left[0] > 0.9:
      axes.plot([left[0], 1.02], [left[1], height], lw=0.6, alpha=0.6, **beside)
    axes.plot([1.035], [height], marker=end.marker, ms=5, **beside)
    words: dict[str, Any] = {"va": "center", "fontsize": 8.5, "parse_math": False}
    axes.text(1.055, height, end.words, **words, **beside)


def spread_out(heights: NDArray[np.float64]) -> NDArray[np.float64]:
  """The nearest heights [n], by least squares, of which no two are too near."""
  if not len(heights):
    return heights
  order = np.argsort(heights, kind="stable")
  gaps = LABEL_HEIGHT * np.arange(len(heights))
  moved = scipy.optimize.isotonic_regression(heights[order] - gaps).x + gaps
  result = np.empty_like(heights)
  result[order] = moved
  return result
