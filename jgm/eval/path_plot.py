"""The paths that points in the plane take from noise to data."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jgm.eval.canvas import PRINT, as_points, new_figure, set_title, to_picture
from jgm.eval.plots import SAND, draw_points, frame_of, set_frame

NOISE = "#a39c90"  # of where a path begins


def path_lines(
  paths: Mapping[str, ArrayLike], *, real: ArrayLike | None = None
) -> NDArray[np.uint8]:
  """Paths of points, one panel for each set of them, in one frame.

  Args:
    paths: caption -> [K, N, 2] float, N points at K times, noise first. So many paths
      are drawn as there are: about 100 can be told apart.
    real: [M, 2] float, drawn faintly beneath; None draws nothing.

  Returns:
    [., ., 3] uint8. A path begins at a grey dot and ends at a blue one.

  Raises:
    ValueError: where there is nothing to draw, or the paths are not [K, N, 2].
  """
  if not paths:
    raise ValueError("there are no paths to draw")
  drawn = {name: np.asarray(each, np.float64) for name, each in paths.items()}
  for name, each in drawn.items():
    if each.ndim != 3 or each.shape[2] != 2:
      raise ValueError(f"{name!r} must be [K, N, 2], not {list(each.shape)}")
  frame = frame_of(np.concatenate([each.reshape(-1, 2) for each in drawn.values()]))
  figure = new_figure(4.6 * len(drawn), 4.9)
  for index, (name, each) in enumerate(drawn.items(), 1):
    axes = figure.add_subplot(1, len(drawn), index)
    if real is not None:
      draw_points(axes, as_points(real), size=5, color=SAND)
    axes.plot(each[..., 0], each[..., 1], color=PRINT.accent, lw=0.8, alpha=0.55)
    draw_points(axes, each[0], size=9, color=NOISE)
    draw_points(axes, each[-1], size=12)
    set_frame(axes, frame)
    set_title(axes, name, PRINT)
  return to_picture(figure)
