"""Curves: what is drawn is what was measured."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from jgm.eval.curves import curve_svg, curves, metric_names, series, smooth

ROWS = [
  {"step": 10 * i, "b": 0.1 * i, "a/loss": [1.0 / i, 2.0 / i], "time/unix": 5.0}
  for i in range(1, 41)
]


def test_names_put_losses_first_and_leave_out_times():
  assert metric_names([*ROWS, {"step": 400, "eval/x": 1.0}]) == [
    "a/loss",
    "b",
    "eval/x",
  ]


def test_series_takes_only_the_rows_that_have_the_metric():
  steps, values = series([{"step": 1, "x": 1.0}, {"step": 2}, {"step": 3, "x": 3}], "x")
  assert steps.tolist() == [1, 3] and values.tolist() == [[1.0], [3.0]]
  assert series(ROWS, "a/loss")[1].shape == (40, 2)


def test_smoothing_keeps_constants_lines_and_leaves_out_what_is_not_finite():
  assert np.allclose(smooth(np.full((50, 2), 3.0)), 3.0, rtol=1e-12)
  line = np.arange(200.0)
  assert np.allclose(smooth(line)[50:150], line[50:150], rtol=1e-12)
  broken = np.full(50, 3.0)
  broken[10] = np.nan
  assert np.allclose(smooth(broken), 3.0, rtol=1e-12)
  noise = np.random.default_rng(0).normal(size=400)
  # A bell of standard deviation 10 averages noise down by sqrt(2 sqrt(pi) 10) = 6.
  assert 4 < noise.std() / smooth(noise)[50:-50].std() < 10


def test_the_smoothing_matches_its_definition():
  values = np.random.default_rng(1).normal(size=90)
  width, index = 90 / 40, np.arange(90)
  distance = np.abs(index[:, None] - index)
  bell = np.exp(-0.5 * (distance / width) ** 2) * (distance <= np.ceil(3 * width))
  assert np.allclose(smooth(values), bell @ values / bell.sum(1), rtol=1e-10)


def test_a_page_gets_an_svg_that_is_at_home_in_it():
  svg = curve_svg(ROWS, "b", floor=2.0)
  ElementTree.fromstring(svg)
  assert svg == curve_svg(ROWS, "b", floor=2.0)
  assert "var(--accent)" in svg and "var(--muted)" in svg
  assert not re.search(r"#0[123]0[123]0[123]|<style|font-family|<g id=", svg)
  assert "stroke-dasharray" in svg and "stroke-dasharray" not in curve_svg(ROWS, "b")


def test_the_drawn_line_is_the_series():
  rows = [{"step": step, "x": y} for step, y in [(0, 0.0), (5, 5.0), (10, 0.0)]]
  path = re.findall(
    r'<path d="(M [^"]*)"[^>]*stroke: var\(--accent\)', curve_svg(rows, "x")
  )
  points = np.array([p.split()[-2:] for p in re.split("[ML]", path[0])[1:]], float)
  (x0, y0), (x1, y1), (x2, y2) = points
  assert np.isclose(x1 - x0, x2 - x1, rtol=1e-3) and y0 == y2
  assert y1 < y0  # up is more: an SVG counts downwards


def test_several_seeds_give_a_band():
  one = [{"step": row["step"], "a/loss": row["a/loss"][0]} for row in ROWS]
  assert "fill-opacity: 0.2" in curve_svg(ROWS, "a/loss")
  assert "fill-opacity: 0.2" not in curve_svg(one, "a/loss")


def test_a_wide_positive_range_is_drawn_on_a_log_scale():
  def labels(values):
    rows = [{"step": i, "x": v} for i, v in enumerate(values)]
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", curve_svg(rows, "x"))
    return [float(text.replace("−", "-")) for text in texts][-4:]

  assert {0.01, 0.1} <= set(labels([1.0, 0.1, 0.01, 0.001]))
  linear = labels([1.0, 0.5, 0.4])
  assert np.allclose(np.diff(linear), np.diff(linear)[0])
  assert min(labels([1.0, 0.1, -0.001])) <= 0


@pytest.mark.parametrize(
  "values",
  [
    [np.nan] * 3,
    [np.inf, 1.0, 2.0],
    [0.0],
    [1e-30, 1e30],
    [[1.0, np.nan], [np.nan] * 2],
  ],
)
def test_extremes_are_drawn_without_a_warning(values):
  rows = [{"step": i, "$x^": v} for i, v in enumerate(values)]
  assert curve_svg(rows, "$x^").startswith("<svg")
  assert curves(rows).shape[2] == 3


def test_curves_make_one_picture_or_say_why_not():
  picture = curves(ROWS)
  assert picture.dtype == np.uint8 and picture.ndim == 3
  assert picture.shape[1] > curves(ROWS, ["b"]).shape[1]
  with pytest.raises(ValueError, match="no metric"):
    curves([{"step": 1}])
