"""Plots by matplotlib's objects alone: 2-D samples, and curves over training."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

Rows = Sequence[Mapping[str, Any]]  # as in metrics.jsonl


# What matplotlib writes for a file of its own, and a page must not get: styles that
# would reach all of it, a size in points, ids that occur twice, a typeface.
_FOR_THE_PAGE = {
  r"<style.*?</style>": "",
  r'(<svg[^>]*?) width="[^"]*" height="[^"]*"': r"\1",
  r'<g id="[^"]*"': "<g",
  r"font-family: [^;]*; ": "",
}


class Theme(NamedTuple):
  """The colours of a plot."""

  paper: str
  ink: str
  faint: str
  accent: str


PRINT = Theme(paper="#ffffff", ink="#3d3a35", faint="#d9d5cc", accent="#2f6690")
# Colours that stand for the page's own, so that one drawing serves light and dark.
_PAGE = Theme(paper="none", ink="#010101", faint="#020202", accent="#030303")
_VARIABLES = {"#010101": "var(--muted)", "#020202": "var(--rule)"}
_VARIABLES |= {"#030303": "var(--accent)"}


def scatter_2d(samples: ArrayLike, real: ArrayLike | None = None) -> NDArray[np.uint8]:
  """Points in the plane beside real ones, on the same axes.

  Args:
    samples: [N, 2] float.
    real: [M, 2] float, or None to draw the samples alone.

  Returns:
    [., ., 3] uint8. The frame is that of the real points with a margin; how many
    samples fall outside it, or are not finite, is written above them.

  Raises:
    ValueError: where the points are not [N, 2].
  """
  sets = {"samples": _points(samples)}
  if real is not None:
    sets["real, held out"] = _points(real)
  frame = next(reversed(sets.values()))
  frame = frame[np.isfinite(frame).all(axis=1)]
  low, high = (frame.min(0), frame.max(0)) if len(frame) else (np.zeros(2), np.ones(2))
  middle, half = (low + high) / 2, max(0.6 * float((high - low).max()), 1e-6)
  figure = Figure(figsize=(4.6 * len(sets), 4.9), dpi=160, layout="constrained")
  for index, (caption, points) in enumerate(sets.items(), 1):
    axes = figure.add_subplot(1, len(sets), index)
    _style(axes, PRINT)
    axes.grid(visible=False)
    axes.locator_params(nbins=4)
    # Fewer points are drawn darker, so that any number of them can be read.
    alpha = float(np.clip(1200 / max(len(points), 1), 0.15, 0.8))
    axes.scatter(
      points[:, 0], points[:, 1], s=5, color=PRINT.accent, alpha=alpha, linewidths=0
    )
    axes.set(xlim=middle[0] + half * np.array([-1, 1]), aspect="equal")
    axes.set(ylim=middle[1] + half * np.array([-1, 1]))
    outside = int((~(np.abs(points - middle) <= half).all(axis=1)).sum())
    caption += f" ({outside:,} of {len(points):,} outside the frame)" if outside else ""
    _title(axes, caption, PRINT)
  return _picture(figure)


def curves(rows: Rows, names: Sequence[str] | None = None) -> NDArray[np.uint8]:
  """Metrics over training steps, one small panel each.

  Args:
    rows: the rows of metrics.jsonl; a metric may be a list over seeds.
    names: which metrics; None draws all but those under `time/`.

  Returns:
    [., ., 3] uint8: a smooth line over the faint raw one, and for several seeds their
    mean within a band from the least to the greatest.

  Raises:
    ValueError: where the rows have no metric to draw.
  """
  names = metric_names(rows) if names is None else list(names)
  if not names:
    raise ValueError("there is no metric to draw in these rows")
  columns = min(len(names), 3)
  lines = -(-len(names) // columns)
  figure = Figure(figsize=(4.2 * columns, 2.9 * lines), dpi=160, layout="constrained")
  for index, name in enumerate(names, 1):
    axes = figure.add_subplot(lines, columns, index)
    _draw(axes, *series(rows, name), PRINT)
    _title(axes, name, PRINT)
  return _picture(figure)


def curve_svg(rows: Rows, name: str, *, floor: float | None = None) -> str:
  """One metric over training steps as an SVG element for a page.

  Its colours are the page's own variables (--muted, --rule, --accent) and its letters
  the page's, so it is at home in a light and in a dark scheme.

  Args:
    rows: the rows of metrics.jsonl.
    name: the metric.
    floor: a level to mark by a dashed line.

  Returns:
    "<svg ...>...</svg>", the same on each call.
  """
  figure = Figure(figsize=(3.9, 2.3), layout="constrained")
  _draw(figure.add_subplot(), *series(rows, name), _PAGE, floor=floor)
  figure.patch.set_visible(False)
  file = io.StringIO()
  nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
  # The salt keeps the ids of one panel apart from those of another on the same page.
  with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
    FigureCanvasSVG(figure).print_svg(file, metadata=nothing)
  svg = file.getvalue()
  svg = svg[svg.index("<svg") :].strip()
  for what, instead in _FOR_THE_PAGE.items():
    svg = re.sub(what, instead, svg, flags=re.DOTALL)
  for stand_in, variable in _VARIABLES.items():
    svg = svg.replace(stand_in, variable)
  return svg


def metric_names(rows: Rows) -> list[str]:
  """The metrics that rows have, losses first, without the step and `time/`."""
  names = {k: None for row in rows for k in row if k != "step" and k[:5] != "time/"}
  return sorted(names, key=lambda name: (name.split("/")[-1] != "loss", name))


def series(rows: Rows, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
  """One metric as steps [n] and values [n, seeds], over the rows that have it."""
  having = [row for row in rows if name in row]
  steps = np.array([row["step"] for row in having], np.float64)
  seeds = max((np.size(row[name]) for row in having), default=1)
  values = np.full((len(having), seeds), np.nan)
  for index, row in enumerate(having):
    values[index] = np.asarray(row[name], np.float64)
  return steps, values


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
  """A running mean of [n, ...] under a bell as wide as n/40; what is not finite is left
  out. A test holds that a straight line's middle stays where it is.
  """
  width = max(len(values) / 40, 1.0)
  reach = min(math.ceil(3 * width), len(values) - 1)
  bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
  known = np.isfinite(values)
  columns = np.where(known, values, 0.0).reshape(len(values), -1).T
  weights = known.reshape(len(values), -1).T.astype(np.float64)
  total, weight = (
    np.stack([np.convolve(x, bell, "full")[reach : reach + len(x)] for x in xs])
    for xs in (columns, weights)
  )
  mean = np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 1e-9)
  return mean.T.reshape(values.shape)


def _draw(
  axes: Axes,
  steps: NDArray[np.float64],
  values: NDArray[np.float64],
  theme: Theme,
  *,
  floor: float | None = None,
) -> None:
  _style(axes, theme)
  values = np.where(np.isfinite(values), values, np.nan)
  is_long = len(steps) >= 20
  line = smooth(values) if is_long else values
  # A row in which every seed is NaN has no mean: it is left out, as a gap.
  known = ~np.isnan(line).all(axis=1)
  x, line = steps[known], line[known]
  marker = "None" if is_long else "o"
  mean = np.nanmean(line, axis=1)
  axes.plot(x, mean, marker=marker, ms=3, lw=1.6, color=theme.accent)
  if values.shape[1] > 1:
    low, high = np.nanmin(line, axis=1), np.nanmax(line, axis=1)
    axes.fill_between(x, low, high, color=theme.accent, alpha=0.2, linewidth=0)
  elif is_long:
    axes.plot(steps, values, lw=0.7, color=theme.accent, alpha=0.3)
  if floor is not None and math.isfinite(floor):
    axes.axhline(floor, color=theme.ink, lw=0.9, ls=(0, (4, 3)))
  _scale(axes, values, floor)


def _scale(axes: Axes, values: NDArray[np.float64], floor: float | None) -> None:
  known = values[np.isfinite(values)]
  known = known if floor is None else np.append(known, floor)
  if len(known) and known.min() > 0 and known.max() / known.min() > 30:
    axes.set_yscale("log")
    decades = math.log10(known.max() / known.min())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
  else:
    axes.yaxis.set_major_locator(MaxNLocator(4))
  axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
  axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
  axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _steps_label(x)))


def _steps_label(x: float) -> str:
  for unit, letter in ((1e6, "M"), (1e3, "k")):
    if abs(x) >= 10 * unit:
      return f"{x / unit:g}{letter}"
  return f"{x:,.0f}"


def _style(axes: Axes, theme: Theme) -> None:
  axes.set_facecolor("none")
  axes.spines[["top", "right", "left"]].set_visible(False)
  axes.spines["bottom"].set_color(theme.faint)
  axes.grid(axis="y", color=theme.faint, lw=0.6)
  axes.set_axisbelow(True)
  axes.tick_params(length=0, labelsize=8, labelcolor=theme.ink, which="both")


def _title(axes: Axes, text: str, theme: Theme) -> None:
  # A name is not a formula, whatever dollars are in it.
  axes.set_title(
    text, loc="left", fontsize=9.5, color=theme.ink, pad=8, parse_math=False
  )


def _points(points: ArrayLike) -> NDArray[np.float64]:
  array = np.asarray(points, np.float64)
  if array.ndim != 2 or array.shape[1] != 2:
    raise ValueError(f"points must be [N, 2], not {list(array.shape)}")
  return array


def _picture(figure: Figure) -> NDArray[np.uint8]:
  figure.patch.set_facecolor(PRINT.paper)
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.array(canvas.buffer_rgba())[..., :3].copy()
