"""Palettes: the colours of pictures as points in the cube of red, green and blue."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jgm.eval.canvas import PRINT, new_figure, set_title, style, to_picture

PAPER = "#f1efea"  # behind the points: white ones are seen on it


def palette_plot(palettes: Mapping[str, ArrayLike]) -> NDArray[np.uint8]:
  """Colours as points, each in its own colour, one panel for each palette.

  Args:
    palettes: caption -> [N, 3] float in [0, 1]. A few thousand colours can be seen.

  Returns:
    [., ., 3] uint8. All panels show the plane in which all the colours together spread
    most, in one frame.

  Raises:
    ValueError: where there is no palette, or one is not [N, 3] and finite.
  """
  drawn = {name: np.asarray(each, np.float64) for name, each in palettes.items()}
  if not drawn:
    raise ValueError("there is no palette to draw")
  for name, each in drawn.items():
    if each.ndim != 2 or each.shape[1] != 3 or not np.isfinite(each).all():
      raise ValueError(f"{name!r} must be [N, 3] and finite; it is {list(each.shape)}")
  together = np.concatenate(list(drawn.values()))
  plane = principal_plane(together)
  low, high = ((together @ plane).min(0) - 0.05, (together @ plane).max(0) + 0.05)
  width = 3.4
  figure = new_figure(width * len(drawn), width * np.divide(*(high - low)[::-1]) + 0.4)
  for index, (name, each) in enumerate(drawn.items(), 1):
    axes = figure.add_subplot(1, len(drawn), index)
    x, y = (each @ plane).T
    axes.scatter(x, y, s=7, c=np.clip(each, 0, 1), linewidths=0)
    style(axes, PRINT)
    axes.set_facecolor(PAPER)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
    axes.set_aspect("equal")
    set_title(axes, name, PRINT)
  return to_picture(figure)


def principal_plane(colours: NDArray[np.float64]) -> NDArray[np.float64]:
  """The two directions [3, 2] in which colours [N, 3] spread most, brighter first."""
  covariance = np.cov(colours, rowvar=False)
  plane = np.linalg.eigh(covariance)[1][:, :0:-1]
  # An eigenvector has no sign of its own: more light goes to the right and up.
  return plane * np.where(plane.sum(axis=0) < 0, -1, 1)
