"""Line plots: named where they end, and what cannot be drawn is counted."""

import itertools

import numpy as np
import pytest
from matplotlib.axes import Axes

from jgm.eval.line_plot import LABEL_HEIGHT, line_plot, spread_out, tick_label


@pytest.fixture
def axes(monkeypatch):
  """The axes of the plot that is drawn next."""
  found = []
  plot = Axes.plot

  def record(self, *arguments, **options):
    if self not in found:
      found.append(self)
    return plot(self, *arguments, **options)

  monkeypatch.setattr(Axes, "plot", record)
  return found


def draw(series, **options):
  return line_plot(series, x_label="x", y_label="y", **options)


def test_the_drawn_lines_are_the_series(axes):
  x, y = np.array([5, 10, 50]), np.array([3.0, 2.0, 0.5])
  picture = draw({"DDIM": (x, y, 0.1 * y), "Heun": (x, y / 2)}, log_x=True, log_y=True)
  assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
  lines = [line.get_xydata() for line in axes[0].lines if line.get_lw() == 1.6]
  np.testing.assert_array_equal(lines[0], np.stack([x, y], 1))
  np.testing.assert_array_equal(lines[1], np.stack([x, y / 2], 1))
  assert len(axes[0].collections) == 1  # one has a spread
  assert axes[0].get_xscale() == axes[0].get_yscale() == "log"
  assert axes[0].get_xticks().tolist() == [5, 10, 50]


def test_names_stand_beside_the_axes_and_never_over_one_another(axes):
  """Ten lines that end at the same place, and the floor there too."""
  series = {f"line {k}": ([1, 2], [k, 0.5]) for k in range(10)}
  draw(series, floor=0.5)
  texts = axes[0].texts
  assert [text.get_text() for text in texts] == ["floor", *series]
  renderer = axes[0].figure.canvas.get_renderer()
  boxes = [text.get_window_extent(renderer) for text in texts]
  frame = axes[0].get_window_extent()
  assert all(box.x0 > frame.x1 for box in boxes)
  boxes.sort(key=lambda box: box.y0)
  assert all(below.y1 <= above.y0 for below, above in itertools.pairwise(boxes))
  whole = axes[0].figure.bbox
  assert boxes[0].y0 >= 0 and boxes[-1].y1 <= whole.y1
  assert all(box.x1 <= whole.x1 for box in boxes)  # not cut off


def test_labels_move_no_more_than_they_must():
  far = np.array([0.9, 0.1, 0.5])
  np.testing.assert_allclose(spread_out(far), far)
  near = spread_out(np.array([0.5, 0.5]))
  np.testing.assert_allclose(near, 0.5 + LABEL_HEIGHT * np.array([-0.5, 0.5]))


def test_the_floor_is_a_dashed_line(axes):
  draw({"a": ([1, 2], [3, 4])}, floor=1.5, floor_label="real data")
  dashed = [line for line in axes[0].lines if line.is_dashed()]
  assert [list(line.get_ydata()) for line in dashed] == [[1.5, 1.5]]
  assert axes[0].get_ylim()[0] < 1.5


def test_what_cannot_be_drawn_is_counted(axes):
  draw({"kernel": ([1, 2, 3, 4], [1.0, -0.1, np.nan, 2.0])}, log_y=True)
  assert axes[0].texts[0].get_text() == "kernel (2 of 4 not drawn)"
  draw({"a": ([1, 2], [1, 2]), "lost": ([1], [np.nan])})
  assert axes[1].texts[1].get_text() == "lost (1 of 1 not drawn)"


@pytest.mark.parametrize("log_y", [False, True])
def test_extremes_are_drawn_without_a_warning(log_y):
  nothing = {"$x^": ([1.0], [np.nan])}
  wide = {"a": ([0, 1], [1e-30, 1e30], [1.0, np.inf]), "b": ([1], [2])}
  for series in (nothing, wide):
    assert draw(series, log_y=log_y, floor=0.0).ndim == 3


def test_wrong_series_are_named():
  with pytest.raises(ValueError, match=r"'a' must be x \[n\].*\[2\], \[3\]"):
    draw({"a": ([1, 2], [1, 2, 3])})
  with pytest.raises(ValueError, match="no series"):
    draw({})


def test_ticks_are_short():
  values = [0.5, 3, 2000, 50_000, 3e7]
  assert [tick_label(x) for x in values] == ["0.5", "3", "2,000", "50k", "30M"]
