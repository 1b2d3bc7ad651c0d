"""The picture of the benchmarks, of made-up rows."""

import math

import numpy as np
import pytest

from benchmarks.picture import FASTER, picture, places, reach
from benchmarks.summary import Row

MACHINE = {"processor": "made up", "threads": 2}
BLUE = [int(FASTER[i : i + 2], 16) for i in (1, 3, 5)]


def row(bench, *ratios, reason=""):
  return Row(bench, "a workload", "jgm", "a peer", ratios, None, reason)


def num_blue(image):
  return int(np.sum(np.all(image == BLUE, axis=-1)))


def test_a_bar_goes_from_one_to_the_ratio_in_powers_of_two():
  slow = row("ddim", 0.1, 0.1, 20.0)  # so that the axis is the same
  twice, four = (picture([row("gpt_step", r), slow], MACHINE) for r in (2.0, 4.0))
  assert twice.shape == four.shape and twice.shape[1] == 1280
  assert num_blue(four) == pytest.approx(2 * num_blue(twice), rel=0.2)
  slower = picture([row("gpt_step", 0.5)], MACHINE)
  assert num_blue(slower) == 0


def test_all_rounds_are_within_the_axis():
  low, high = reach([row("ddim", 0.1, 3.0), row("ddim", 20.0), row("ddim", reason="x")])
  assert low < math.log2(0.1) and high > math.log2(20.0)
  assert reach([row("ddim", reason="no peer")])[0] < -1


def test_benches_are_set_apart():
  heights = np.diff(places([row("a", 1.0), row("a", 1.0), row("b", 1.0)]))
  assert heights[0] == 1 and heights[1] > 1


def test_a_workload_that_was_not_run_is_there():
  image = picture([row("ddim", reason="diffusers: not run: $no$ PyTorch")], MACHINE)
  assert num_blue(image) == 0 and image.min() < 100
  with pytest.raises(ValueError, match="no workload"):
    picture([], MACHINE)
