"""The cart and its pole, drawn."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from jgm.environments.cartpole import HALF_LENGTH, MAX_X, TAU
from jgm.eval.canvas import PRINT, new_figure, set_title, to_picture
from jgm.eval.line_plot import COLOURS

CART = (0.5, 0.3)  # width and height, in metres
FRAMES = 8
COLUMNS = 4


def draw_episode(observations: np.ndarray) -> NDArray[np.uint8]:
  """Moments of one episode, evenly over its time, the first and the last among them.

  Args:
    observations: [T, 4] float, as `jgm.environments.cartpole` has them.

  Returns:
    [., ., 3] uint8. The track is drawn from end to end, metre for metre.

  Raises:
    ValueError: if there are no observations, or they are not of a cart.
  """
  observations = np.asarray(observations)
  if observations.ndim != 2 or observations.shape[1] != 4 or not len(observations):
    raise ValueError(f"observations must be [T, 4], not {list(observations.shape)}")
  times = np.unique(np.linspace(0, len(observations) - 1, FRAMES).round().astype(int))
  rows = -(-len(times) // COLUMNS)
  figure = new_figure(2.4 * COLUMNS, 1.1 * rows)
  for index, time in enumerate(times, 1):
    axes = figure.add_subplot(rows, COLUMNS, index)
    draw_frame(axes, *observations[time, [0, 2]])
    set_title(axes, f"{TAU * time:.1f} s", PRINT)
  return to_picture(figure)


def draw_frame(axes: Axes, x: float, theta: float) -> None:
  """The cart at x metres, its pole at theta radians from upright, on its track."""
  width, height = CART
  axes.set(xlim=(-MAX_X - width, MAX_X + width), ylim=(-height, 1.4), aspect="equal")
  axes.set_axis_off()
  axes.plot([-MAX_X, MAX_X], [0, 0], color=PRINT.faint, lw=2)
  axes.plot([0, 0], [-0.15, 0], color=PRINT.faint, lw=1)  # the middle
  corner = (x - width / 2, 0)
  axes.add_patch(Rectangle(corner, width, height, color=PRINT.ink, lw=0))
  tip = x + 2 * HALF_LENGTH * np.sin(theta), height + 2 * HALF_LENGTH * np.cos(theta)
  axes.plot([x, tip[0]], [height, tip[1]], color=COLOURS[1], lw=3)
