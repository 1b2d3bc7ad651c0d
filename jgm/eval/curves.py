"""Metrics over training steps, as a picture and as a drawing for a page."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from jgm.eval.canvas import (
  DASHES,
  PRINT,
  Theme,
  new_figure,
  set_log_ticks,
  set_title,
  style,
  to_picture,
)

Rows = Sequence[Mapping[str, Any]]  # as in metrics.jsonl

# What matplotlib writes for a file of its own, and a page must not get: styles that
# would reach all of it, a size in points, ids that occur twice, a typeface.
_FOR_THE_PAGE = {
  r"<style.*?</style>": "",
  r'(<svg[^>]*?) width="[^"]*" height="[^"]*"': r"\1",
  r'<g id="[^"]*"': "<g",
  r"font-family: [^;]*; ": "",
}
# Colours that stand for the page's own, so that one drawing serves light and dark.
_PAGE = Theme(paper="none", ink="#010101", faint="#020202", accent="#030303")
_VARIABLES = {"#010101": "var(--muted)", "#020202": "var(--rule)"}
_VARIABLES |= {"#030303": "var(--accent)"}


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
  figure = new_figure(4.2 * columns, 2.9 * lines)
  for index, name in enumerate(names, 1):
    axes = figure.add_subplot(lines, columns, index)
    _draw(axes, *series(rows, name), PRINT)
    set_title(axes, name, PRINT)
  return to_picture(figure)


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
  style(axes, theme)
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
    axes.axhline(floor, color=theme.ink, lw=0.9, ls=DASHES)
  _scale(axes, values, floor)


def _scale(axes: Axes, values: NDArray[np.float64], floor: float | None) -> None:
  known = values[np.isfinite(values)]
  known = known if floor is None else np.append(known, floor)
  if len(known) and known.min() > 0 and known.max() / known.min() > 30:
    axes.set_yscale("log")
    set_log_ticks(axes.yaxis, known.min(), known.max())
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
