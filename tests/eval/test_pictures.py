"""Pictures: a person must see what is there, and nothing that is not."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from jgm.data.spec import DataSpec
from jgm.eval.pictures import (
  BROKEN,
  GAP,
  neighbour_pairs,
  png_bytes,
  sample_grid,
  sample_picture,
  side_by_side,
  to_cells,
  trajectory_strip,
  write_png,
)


@pytest.fixture(scope="module")
def digits():
  return load_digits().images[:40, ..., None] / 8 - 1


def test_enlarges_each_image_as_pillow_does(digits):
  cells = to_cells(digits[:3])
  for image, cell in zip(digits[:3], cells, strict=True):
    unit = Image.fromarray(((image[..., 0] + 1) / 2).astype(np.float32))
    large = np.asarray(unit.resize((96, 96), Image.Resampling.LANCZOS))
    expected = np.round(255 * np.clip(large, 0, 1))
    # Pillow also resamples in two passes; only the rounding of a grey level may differ.
    assert np.abs(cell[..., 0].astype(float) - expected).max() <= 1
    assert (cell[..., 0] == cell[..., 1]).all() and (cell[..., 0] == cell[..., 2]).all()


@pytest.mark.parametrize(
  ("size", "side"), [(8, 96), (28, 84), (32, 96), (64, 64), (300, 300)]
)
def test_small_images_come_near_96_pixels_and_large_ones_stay(size, side):
  assert to_cells(np.zeros((1, size, size, 1))).shape == (1, side, side, 3)


@pytest.mark.parametrize("factor", [1, 2, 7])
def test_a_constant_image_stays_constant(factor):
  cells = to_cells(np.full((1, 5, 4, 3), 0.2), enlarge=factor)
  assert cells.shape == (1, 5 * factor, 4 * factor, 3)
  assert (cells == round(255 * 0.6)).all()


def test_the_range_maps_to_black_and_white_and_beyond_is_clipped():
  values = np.array([-9.0, 0.0, 0.5, 1.0, 9.0]).reshape(5, 1, 1, 1)
  cells = to_cells(values, low=0.0, high=1.0, enlarge=1)
  assert cells[:, 0, 0, 0].tolist() == [0, 0, 128, 255, 255]


def test_colour_keeps_its_channels():
  image = np.array([1.0, -1.0, 0.0]).reshape(1, 1, 1, 3)
  assert to_cells(image, enlarge=1).ravel().tolist() == [255, 0, 128]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_image_that_is_not_finite_is_red_and_its_neighbours_are_not(digits, bad):
  images = digits[:2].copy()
  images[1, 3, 3] = bad
  cells = to_cells(images)
  assert (cells[1] == BROKEN).all()
  assert (cells[0] == to_cells(digits[:1])[0]).all()


def test_the_grid_has_gaps_rows_first_and_no_border(digits):
  grid = sample_grid(digits[:5], columns=3, gap=4)
  cells = to_cells(digits[:5])
  assert grid.shape == (2 * 96 + 4, 3 * 96 + 2 * 4, 3)
  assert (grid[:96, 100:196] == cells[1]).all()
  assert (grid[100:, :96] == cells[3]).all()
  assert (grid[96:100] == GAP).all() and (grid[:96, 96:100] == GAP).all()
  assert (grid[100:, 200:] == GAP).all()  # the place of the sixth is empty


def test_an_image_does_not_depend_on_its_neighbours(digits):
  alone = sample_grid(digits[:1])
  assert (sample_grid(digits[:4])[:96, :96] == alone).all()


def test_side_by_side_draws_both_by_the_same_rule(digits):
  sheet = side_by_side(digits[:4], digits[4:8])
  left, right = sample_grid(digits[:4]), sample_grid(digits[4:8])
  height, width = left.shape[:2]
  assert (sheet[-height:, :width] == left).all()
  assert (sheet[-height:, -width:] == right).all()
  caption = sheet[:-height]
  assert (caption[:, :width] < 200).any() and (caption[:, -width:] < 200).any()


def test_the_trajectory_runs_left_to_right_with_a_sample_to_a_row(digits):
  frames = digits[:6].reshape(3, 2, 8, 8, 1)
  plain = trajectory_strip(frames)
  cells = to_cells(digits[:6]).reshape(3, 2, 96, 96, 3)
  assert plain.shape == (2 * 96 + 4, 3 * 96 + 2 * 4, 3)
  assert (plain[:96, 100:196] == cells[1, 0]).all()
  assert (plain[100:, 200:] == cells[2, 1]).all()
  worded = trajectory_strip(frames, captions=["t = 1", "t = 0.5", "t = 0"])
  assert (worded[-len(plain) :, : plain.shape[1]] == plain).all()
  with pytest.raises(ValueError, match="3 frames need 3 captions, not 2"):
    trajectory_strip(frames, captions=["a", "b"])


def test_long_captions_neither_overlap_nor_are_cut(digits):
  frames = np.repeat(digits[None, :1], 4, axis=0)
  words = ["wwwwwwwwwwwwww", "", "", "mmmmmmmmmmmmmmmmmmmm"]
  sheet = trajectory_strip(frames, captions=words)
  caption = sheet[:-96]
  assert (caption[:, -1] > 250).all()  # the last letter ends before the edge
  assert (caption[:, 100:300] > 250).all()  # the first keeps to its own column
  assert (caption[:, 300:] < 200).any()


def test_neighbours_stand_one_below_the_other(digits):
  sheet = neighbour_pairs(digits[:2], digits[2:4], caption="")
  cells = to_cells(digits[:4])
  assert (sheet[:96, :96] == cells[0]).all() and (sheet[-96:, :96] == cells[2]).all()
  assert (sheet[:96, -96:] == cells[1]).all() and (sheet[-96:, -96:] == cells[3]).all()


def test_sample_picture_draws_images_and_points(digits):
  spec = DataSpec(shape=(8, 8, 1), levels=17)
  assert (sample_picture(digits[:4], spec) == sample_grid(digits[:4])).all()
  pair = sample_picture(digits[:4], spec, digits[4:8])
  assert (pair == side_by_side(digits[:4], digits[4:8])).all()
  points = np.zeros((5, 2))
  assert sample_picture(points, DataSpec(shape=(2,))).dtype == np.uint8


def test_a_png_reads_back_and_is_the_same_bytes(tmp_path, digits):
  picture = sample_grid(digits[:2])
  write_png(tmp_path / "new" / "a.png", picture)
  with Image.open(tmp_path / "new" / "a.png") as image:
    assert (np.asarray(image) == picture).all()
  assert png_bytes(picture) == png_bytes(picture.copy())
  with Image.open(io.BytesIO(png_bytes(picture))) as image:
    assert image.size == (picture.shape[1], picture.shape[0])


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: to_cells(np.zeros((8, 8, 1))), r"\[N, H, W, 1 or 3\], not \[8, 8, 1\]"),
    (lambda: to_cells(np.zeros((2, 8, 8, 2))), "1 or 3"),
    (lambda: to_cells(np.zeros((0, 8, 8, 1))), "1 or 3"),
    (lambda: to_cells(np.zeros((1, 8, 8, 1)), low=1, high=1), "low must be less"),
    (lambda: png_bytes(np.zeros((4, 4, 3))), r"uint8 \[H, W, 3\], not float64"),
    (lambda: png_bytes(np.zeros((4, 4), np.uint8)), r"not uint8 \[4, 4\]"),
  ],
)
def test_wrong_input_is_named(call, message):
  with pytest.raises(ValueError, match=message):
    call()
