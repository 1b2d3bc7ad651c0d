"""What all plots share: colours, letters, and a figure's pixels."""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

DPI = 160
DASHES = (0, (4, 3))


class Theme(NamedTuple):
  """The colours of a plot."""

  paper: str
  ink: str
  faint: str
  accent: str


PRINT = Theme(paper="#ffffff", ink="#3d3a35", faint="#d9d5cc", accent="#2f6690")


def new_figure(width: float, height: float) -> Figure:
  """A figure of so many inches, without pyplot's global state."""
  return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def style(axes: Axes, theme: Theme) -> None:
  """Gives axes the look of the house: a baseline, faint lines, small numbers."""
  axes.set_facecolor("none")
  axes.spines[["top", "right", "left"]].set_visible(False)
  axes.spines["bottom"].set_color(theme.faint)
  axes.grid(axis="y", color=theme.faint, lw=0.6)
  axes.set_axisbelow(True)
  axes.tick_params(length=0, labelsize=8, labelcolor=theme.ink, which="both")


def set_title(axes: Axes, text: str, theme: Theme) -> None:
  """Writes above axes, on the left."""
  # A name is not a formula, whatever dollars are in it.
  axes.set_title(
    text, loc="left", fontsize=9.5, color=theme.ink, pad=8, parse_math=False
  )


def set_log_ticks(axis: Axis, low: float, high: float) -> None:
  """Ticks of a logarithmic axis from low > 0 to high: 1, 2, 5 where there is room."""
  decades = math.log10(high / low)
  axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,)))
  axis.set_minor_locator(NullLocator())
  axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def as_points(points: ArrayLike) -> NDArray[np.float64]:
  """`points` in float64, or an error where they are not [N, 2]."""
  array = np.asarray(points, np.float64)
  if array.ndim != 2 or array.shape[1] != 2:
    raise ValueError(f"points must be [N, 2], not {list(array.shape)}")
  return array


def to_picture(figure: Figure) -> NDArray[np.uint8]:
  """A figure's pixels: [., ., 3] uint8."""
  figure.patch.set_facecolor(PRINT.paper)
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.array(canvas.buffer_rgba())[..., :3].copy()
