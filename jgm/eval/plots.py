"""Pictures of the plane: points, how they arise, and vector fields."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from jgm.eval.canvas import (
  PRINT,
  as_points,
  new_figure,
  set_title,
  style,
  to_picture,
)

SAND = "#e2cfa5"  # of what is drawn beneath: seen, and not mistaken for samples
Field = tuple[ArrayLike, ArrayLike]  # where [N, 2], and the vectors there [N, 2]


class Frame(NamedTuple):
  """A square of the plane."""

  middle: NDArray[np.float64]  # [2]
  half: float  # of its side


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
  sets = {"samples": as_points(samples)}
  if real is not None:
    sets["real, held out"] = as_points(real)
  frame = frame_of(next(reversed(sets.values())))
  figure = new_figure(4.6 * len(sets), 4.9)
  for index, (caption, points) in enumerate(sets.items(), 1):
    axes = figure.add_subplot(1, len(sets), index)
    draw_points(axes, points, size=5)
    set_frame(axes, frame)
    caption += outside_note(points, frame)
    set_title(axes, caption, PRINT)
  return to_picture(figure)


def outside_note(points: NDArray[np.float64], frame: Frame) -> str:
  """How many points [N, 2] a frame does not show, not finite ones among them; or ""."""
  outside = int((~(np.abs(points - frame.middle) <= frame.half).all(axis=1)).sum())
  return f" ({outside:,} of {len(points):,} outside the frame)" if outside else ""


def scatter_strip(
  frames: ArrayLike, *, captions: Sequence[str], real: ArrayLike | None = None
) -> NDArray[np.uint8]:
  """How points in the plane arise: one small panel for each moment, in one frame.

  Args:
    frames: [K, N, 2] float, from noise (first) to samples (last).
    captions: K words, one above each panel, such as "t = 0.75".
    real: [M, 2] float, drawn faintly beneath; None draws nothing.

  Returns:
    [., ., 3] uint8. The frame leaves out the furthest hundredth of the points.

  Raises:
    ValueError: where the frames are not [K, N, 2], or there are not K captions.
  """
  frames = np.asarray(frames, np.float64)
  if frames.ndim != 3 or frames.shape[2] != 2:
    raise ValueError(f"frames must be [K, N, 2], not {list(frames.shape)}")
  if len(captions) != len(frames):
    raise ValueError(
      f"{len(frames)} frames need {len(frames)} captions, not {len(captions)}"
    )
  shared = frame_of(frames.reshape(-1, 2), leave_out=0.01)
  figure = new_figure(1.9 * len(frames), 2.15)
  for index, (points, caption) in enumerate(zip(frames, captions, strict=True), 1):
    axes = figure.add_subplot(1, len(frames), index)
    if real is not None:
      draw_points(axes, as_points(real), size=3, color=SAND)
    draw_points(axes, points, size=4)
    set_frame(axes, shared)
    axes.set(xticks=[], yticks=[])
    set_title(axes, caption, PRINT)
  return to_picture(figure)


def vector_fields(
  fields: Mapping[str, Field], *, samples: ArrayLike | None = None
) -> NDArray[np.uint8]:
  """Vector fields in the plane side by side, their arrows to one scale.

  Args:
    fields: caption -> (where [N, 2] float, the vectors there [N, 2] float); such as a
      learned score beside the true one.
    samples: [M, 2] float, drawn faintly beneath; None draws nothing.

  Returns:
    [., ., 3] uint8. A vector of length r is drawn r / (r + median) of the way to the
    next place of the grid, so that near and far, where scores differ by orders of
    magnitude, both can be read; the median is that of all fields.

  Raises:
    ValueError: where there is no field, or the places or vectors are not [N, 2].
  """
  if not fields:
    raise ValueError("there is no field to draw")
  drawn = {
    name: np.concatenate([as_points(grid), as_points(vectors)], axis=1)
    for name, (grid, vectors) in fields.items()
  }
  known = {name: each[np.isfinite(each).all(axis=1)] for name, each in drawn.items()}
  together = np.concatenate(list(known.values()))
  frame = frame_of(together[:, :2])
  lengths = np.linalg.norm(together[:, 2:], axis=1)
  median = float(np.median(lengths)) if lengths.any() else 1.0
  spacing = 2 / 1.2 * frame.half / max(len(each) for each in drawn.values()) ** 0.5
  figure = new_figure(4.6 * len(fields), 5.1)
  for index, (name, field) in enumerate(known.items(), 1):
    axes = figure.add_subplot(1, len(fields), index)
    if samples is not None:
      draw_points(axes, as_points(samples), size=7, color=SAND)
    draw_arrows(axes, field, reach=1.1 * spacing, median=median)
    set_frame(axes, frame)
    broken = len(drawn[name]) - len(field)
    words = f" ({broken:,} of {len(drawn[name]):,} not finite)" if broken else ""
    set_title(axes, name + words, PRINT)
  words = f"an arrow of half the greatest length stands for {median:.2g}"
  figure.supxlabel(words, fontsize=8, color=PRINT.ink)
  return to_picture(figure)


def draw_arrows(
  axes: Axes, field: NDArray[np.float64], *, reach: float, median: float
) -> None:
  """Draws arrows from field[:, :2] along field[:, 2:], none longer than `reach`."""
  lengths = np.linalg.norm(field[:, 2:], axis=1, keepdims=True)
  x, y = field[:, 0], field[:, 1]
  u, v = (reach * field[:, 2:] / (lengths + median)).T
  axes.quiver(
    x, y, u, v, angles="xy", scale_units="xy", scale=1, color=PRINT.accent, width=0.0035
  )


def frame_of(points: NDArray[np.float64], *, leave_out: float = 0.0) -> Frame:
  """The square about points [N, 2], with a margin; what is not finite is left out.

  Args:
    points: [N, 2] float.
    leave_out: the share of the points that may lie beyond, along each axis.

  Returns:
    The Frame; about the unit square where there is no point.
  """
  points = points[np.isfinite(points).all(axis=1)]
  if not len(points):
    points = np.array([[0.0, 0.0], [1.0, 1.0]])
  low, high = np.quantile(points, [leave_out / 2, 1 - leave_out / 2], axis=0)
  return Frame((low + high) / 2, max(0.6 * float((high - low).max()), 1e-6))


def set_frame(axes: Axes, frame: Frame) -> None:
  """Makes axes show a square of the plane, and no more."""
  style(axes, PRINT)
  axes.grid(visible=False)
  axes.locator_params(nbins=4)
  sides = frame.half * np.array([-1, 1])
  axes.set(xlim=frame.middle[0] + sides, ylim=frame.middle[1] + sides, aspect="equal")


def draw_points(
  axes: Axes, points: NDArray[np.float64], *, size: float, color: str = PRINT.accent
) -> None:
  """Draws points [N, 2]; fewer are darker, so that any number of them can be read."""
  alpha = float(np.clip(1200 / max(len(points), 1), 0.15, 0.8))
  axes.scatter(
    points[:, 0], points[:, 1], s=size, color=color, alpha=alpha, linewidths=0
  )
