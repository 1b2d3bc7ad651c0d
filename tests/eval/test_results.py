"""Numbers as a person reads them."""

import math

import numpy as np
import pytest

from jgm.core.experiment import Scalar
from jgm.eval.results import format_number, format_spread, format_values, results


@pytest.mark.parametrize(
  ("x", "text"),
  [
    (1.23456, "1.235"),
    (130.2345, "130.2"),
    (12345.6, "12,346"),
    (0.98765, "0.9877"),
    (0.0123456, "0.0123"),
    (-0.00123456, "-0.00123"),
    (2.02e-7, "2.02e-7"),
    (9.99999, "10.000"),
    (1600, "1,600"),
    (0.0, "0"),
    (1e20, "1.00e20"),
    (None, "–"),
    (math.nan, "NaN"),
    (math.inf, "∞"),
    (-math.inf, "-∞"),
  ],
)
def test_formats(x, text):
  assert format_number(x) == text


def test_a_number_reads_back_within_half_a_percent():
  x = np.exp(np.random.default_rng(0).uniform(-20, 20, 500)).tolist()
  read = [float(format_number(value).replace(",", "")) for value in x]
  assert np.allclose(read, x, rtol=0.005)


def test_several_seeds_are_a_mean_and_a_sample_deviation():
  assert format_values([1.0, 2.0, 3.0]) == "2 ± 1"
  values = [0.5, 0.61, 0.48]
  assert format_values(values) == f"0.5300 ± {np.std(values, ddof=1):.2g}"
  assert format_values([2.5]) == "2.500"
  assert format_values([math.inf, 1.0]) == "∞ ± NaN"
  assert format_spread(250.0) == "250" and format_spread(0.0) == "0"


def test_results_say_what_is_better_and_where_between_the_bounds():
  lower = Scalar(2.0, floor=1.0, ceiling=11.0, better="lower", note="N = 5")
  higher = Scalar(0.9, floor=1.0, ceiling=0.0, better="higher")
  rows = results({"frechet_distance": lower, "recall": higher})
  assert [row.name for row in rows] == ["frechet distance", "recall"]
  assert [row.place for row in rows] == pytest.approx([0.9, 0.9])
  assert rows[0].better == "lower is better" and rows[0].note == "N = 5"
  assert rows[1].better == "higher is better"


@pytest.mark.parametrize(
  ("scalar", "place"),
  [
    (Scalar(1.0), None),
    (Scalar(1.0, floor=2.0, ceiling=2.0), None),
    (Scalar(math.nan, floor=1.0, ceiling=2.0), None),
    (Scalar(0.5, floor=1.0, ceiling=2.0), 1.0),
    (Scalar(99.0, floor=1.0, ceiling=2.0), 0.0),
  ],
)
def test_a_place_stays_between_the_bounds(scalar, place):
  assert results({"x": scalar})[0].place == place


def test_seeds_are_averaged_value_and_bounds():
  seeds = [{"x": Scalar(v, floor=f, ceiling=4.0)} for v, f in [(1.0, 0.0), (3.0, 1.0)]]
  (row,) = results(seeds)
  assert row.value == "2 ± 1.4" and row.floor == "0.5000" and row.ceiling == "4"
