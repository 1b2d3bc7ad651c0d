"""Pictures of the plane: what is drawn is where it was."""

import numpy as np
import pytest

from jgm.eval.plots import frame_of, scatter_2d, scatter_strip, vector_fields


def blue(picture):
  """Where a picture is of the samples' colour."""
  return (picture[..., 2].astype(int) - picture[..., 0]) > 60


@pytest.fixture
def titles(monkeypatch):
  found = []
  monkeypatch.setattr(
    "jgm.eval.plots.set_title", lambda axes, text, theme: found.append(text)
  )
  return found


def test_points_are_drawn_where_they_are():
  # One blob to the upper right of the frame that the real points set.
  real = np.array([[-1.0, -1.0], [1.0, 1.0]])
  picture = scatter_2d(np.full((50, 2), 0.8), real)
  y, x = np.argwhere(blue(picture)[:, : picture.shape[1] // 2]).mean(0)
  assert x > 0.3 * picture.shape[1] and y < 0.4 * picture.shape[0]


def test_points_that_are_outside_are_counted_in_words(titles):
  samples = np.zeros((5, 2))
  samples[0], samples[1, 0] = 99.0, np.nan
  scatter_2d(samples, np.array([[-1.0, -1.0], [1.0, 1.0]]))
  assert titles == ["samples (2 of 5 outside the frame)", "real, held out"]


def test_wrong_points_are_named():
  with pytest.raises(ValueError, match=r"\[N, 2\], not \[4, 3\]"):
    scatter_2d(np.zeros((4, 3)))


def test_a_strip_shows_each_moment_in_one_frame():
  """A cloud that shrinks to a point is drawn in ever fewer pixels."""
  noise = np.random.default_rng(0).normal(size=(200, 2))
  frames = np.stack([noise, 0.5 * noise, 0.05 * noise])
  picture = scatter_strip(frames, captions=["a", "b", "c"], real=noise)
  panels = np.array_split(blue(picture), 3, axis=1)
  spans = [np.ptp(np.argwhere(panel), axis=0).max() for panel in panels]
  assert spans[0] > 1.3 * spans[1] > 4 * spans[2] > 0
  with pytest.raises(ValueError, match="3 frames need 3 captions, not 2"):
    scatter_strip(frames, captions=["a", "b"])
  with pytest.raises(ValueError, match=r"\[K, N, 2\], not \[200, 2\]"):
    scatter_strip(noise, captions=["a"])


def test_a_far_outlier_does_not_shrink_a_strip():
  points = np.random.default_rng(0).uniform(-1, 1, (1000, 2))
  points[0], points[1, 0] = 1e6, np.nan
  assert frame_of(points, leave_out=0.01).half == pytest.approx(1.2, rel=0.05)
  assert frame_of(np.full((3, 2), np.nan)).half > 0


GRID = np.stack(np.meshgrid(np.arange(3.0), np.arange(3.0)), -1).reshape(-1, 2)


@pytest.fixture
def arrows(monkeypatch):
  """The arrows that are drawn: for each panel [N, 4]."""
  from matplotlib.axes import Axes

  found, quiver = [], Axes.quiver

  def record(self, *arrays, **options):
    assert options["scale"] == 1 and options["angles"] == options["scale_units"] == "xy"
    found.append(np.stack(arrays, 1))
    return quiver(self, *arrays, **options)

  monkeypatch.setattr(Axes, "quiver", record)
  return found


def test_fields_are_drawn_to_one_scale(arrows):
  field = np.tile([3.0, 4.0], (9, 1))
  vector_fields({"one": (GRID, field), "twice": (GRID, 2 * field)}, samples=GRID)
  one = arrows[0]
  np.testing.assert_array_equal(one[:, :2], GRID)
  np.testing.assert_allclose(one[:, 3] / one[:, 2], 4 / 3)
  # Lengths are r / (r + median) of one greatest: here the median is 7.5.
  lengths = [np.hypot(*each[:, 2:].T) for each in arrows]
  np.testing.assert_allclose(lengths[1] / lengths[0], (10 / 17.5) / (5 / 12.5))


def test_no_arrow_reaches_far_beyond_the_next_place(arrows):
  field = np.random.default_rng(0).normal(size=(9, 2)) * 10.0 ** np.arange(9)[:, None]
  vector_fields({"score": (GRID, field)})
  assert np.hypot(*arrows[0][:, 2:].T).max() < 1.1


def test_vectors_that_are_not_finite_are_counted(titles, arrows):
  field = np.zeros((9, 2))
  field[4, 1] = np.inf
  picture = vector_fields({"$s^": (GRID, field)})
  assert titles == ["$s^ (1 of 9 not finite)"] and len(arrows[0]) == 8
  assert picture.dtype == np.uint8 and picture.ndim == 3
  with pytest.raises(ValueError, match="no field"):
    vector_fields({})
  with pytest.raises(ValueError, match=r"\[N, 2\], not \[9, 3\]"):
    vector_fields({"x": (GRID, np.zeros((9, 3)))})
