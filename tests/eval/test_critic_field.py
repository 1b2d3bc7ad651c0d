"""The critic's field: what it says of a place is drawn at that place."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.axes import Axes

from jgm.eval import critic_field as module
from jgm.eval.critic_field import contour_levels, critic_field

FEW = np.array([[0.5, 0.5], [-0.5, 0.5]])
SQUARE = {"low": -1.0, "high": 1.0}
to_the_right = lambda x: x[:, 0]


@pytest.fixture
def words(monkeypatch):
  found = []
  monkeypatch.setattr(module, "set_title", lambda axes, text, _: found.append(text))
  return found


def darkness(picture, x, y):
  """255 - the grey level at a place of the left panel's square, both in [0, 1]."""
  panel = picture[:, : picture.shape[1] // 2 - 60].astype(float).mean(axis=2)
  rows, columns = np.nonzero(panel < 254)
  row = rows.max() - y * np.ptp(rows)
  column = columns.min() + x * np.ptp(columns)
  return 255 - panel[int(row), int(column)]


@pytest.mark.parametrize(
  ("score", "dark", "light"),
  [
    (to_the_right, (0.9, 0.3), (0.2, 0.3)),
    (lambda x: -x[:, 0], (0.2, 0.3), (0.9, 0.3)),
    (lambda x: x[:, 1], (0.7, 0.9), (0.7, 0.2)),
  ],
)
def test_it_is_dark_where_the_score_is_high(score, dark, light):
  picture = critic_field(score, FEW, FEW, **SQUARE)
  assert picture.dtype == np.uint8 and picture.shape[2] == 3
  assert darkness(picture, *dark) > darkness(picture, *light) + 30


def test_the_critic_is_asked_once_over_the_whole_square():
  asked = []

  def score(x):
    asked.append(x)
    return jnp.linalg.norm(x, axis=1)

  critic_field(score, FEW, FEW, low=-3.0, high=2.0)
  (places,) = asked
  assert places.dtype == jnp.float32
  np.testing.assert_allclose(
    [places.min(axis=0), places.max(axis=0)], [[-3] * 2, [2] * 2]
  )
  assert len(np.unique(places, axis=0)) == len(places) == module.NUM_TICKS**2


def test_real_points_are_left_and_samples_right_in_other_colours(monkeypatch):
  drawn = []
  monkeypatch.setattr(
    module, "draw_points", lambda axes, points, size, color: drawn.append(points)
  )
  critic_field(to_the_right, FEW[:1], FEW, **SQUARE)
  np.testing.assert_array_equal(drawn[0], FEW)
  np.testing.assert_array_equal(drawn[1], FEW[:1])


def test_what_cannot_be_seen_is_counted(words):
  samples = np.concatenate([FEW, [[3.0, 0.0], [np.nan, 0.0]]])
  critic_field(to_the_right, samples, FEW, **SQUARE)
  assert words == ["real points", "samples (2 of 4 outside the frame)"]


@pytest.fixture
def lines(monkeypatch):
  """The levels that are drawn as lines, a list for each call."""
  found, contour = [], Axes.contour

  def record(self, x, y, field, levels, **options):
    found.append(list(levels))
    return contour(self, x, y, field, levels, **options)

  monkeypatch.setattr(Axes, "contour", record)
  return found


@pytest.mark.parametrize(
  ("undecided", "drawn"), [(None, False), (0.0, True), (0.4, True), (5.0, False)]
)
def test_where_the_critic_is_undecided_is_a_line(lines, undecided, drawn):
  critic_field(to_the_right, FEW, FEW, **SQUARE, undecided=undecided)
  assert ([undecided] in lines) == drawn


def test_the_line_is_drawn_beside_scores_that_are_not_finite(lines):
  half_known = lambda x: jnp.where(x[:, 0] > 0, jnp.nan, x[:, 1])
  critic_field(half_known, FEW, FEW, **SQUARE, undecided=0.0)
  assert [0.0] in lines


def nowhere_finite(x):
  return jnp.full(len(x), jnp.nan)


def finite_on_the_left(x):
  return jnp.where(x[:, 0] > 0, jnp.inf, x[:, 1])


@pytest.mark.parametrize(
  "score",
  [
    lambda x: jnp.zeros(len(x)),
    lambda x: jnp.full(len(x), 0.693),
    lambda x: 1e-9 * x[:, 0],
    lambda x: 1e6 + x[:, 0],
    nowhere_finite,
    finite_on_the_left,
  ],
)
def test_flat_tiny_and_broken_critics_are_drawn_without_a_complaint(score):
  critic_field(score, FEW, FEW, **SQUARE, undecided=0.0)


def test_the_levels_are_those_of_most_places():
  """A spike in a corner takes no colours from the rest."""
  field = np.linspace(0, 1, 10_000).reshape(100, 100)
  spiked = field.copy()
  spiked[0, :5] = 1e6
  spiked[1, :5] = np.nan
  for each in (field, spiked):
    levels = contour_levels(each)
    assert 8 <= len(levels) <= 20
    assert -0.2 < levels[0] < 0.1 and 0.9 < levels[-1] < 1.2
  tiny = contour_levels(1e-9 * field)
  assert tiny[-1] < 2e-9 and len(tiny) >= 8
  flat = contour_levels(np.full((3, 3), 0.5))
  assert 0.49 < flat[0] < 0.5 < flat[-1] < 0.51
  rounded = contour_levels(0.5 + 1e-7 * field)
  assert rounded[0] < 0.4997 and rounded[-1] > 0.5003


def test_wrong_input_is_named():
  with pytest.raises(ValueError, match=r"\[N, 2\], not \[4, 3\]"):
    critic_field(to_the_right, np.zeros((4, 3)), FEW, **SQUARE)
  with pytest.raises(ValueError, match=r"must be \[N\], not \[14400, 1\]"):
    critic_field(lambda x: x[:, :1], FEW, FEW, **SQUARE)
  with pytest.raises(ValueError, match="low must be less"):
    critic_field(to_the_right, FEW, FEW, low=1.0, high=1.0)
