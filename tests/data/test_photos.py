import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.datasets

from jgm.data import make_dataset, to_levels
from jgm.data.photos import (
  HEIGHT,
  SIZE,
  SPEC,
  WIDTH,
  crops_on_grid,
  grid_places,
  random_places,
)


@pytest.fixture(scope="module")
def photos():
  return np.stack(sklearn.datasets.load_sample_images().images)


def touched(top, left):
  """Which pixels of a photograph the crops touch."""
  pixels = np.zeros((HEIGHT, WIDTH), bool)
  for y, x in zip(top, left, strict=True):
    pixels[y : y + SIZE, x : x + SIZE] = True
  return pixels


def drawn_places(key, n):
  return [np.asarray(part) for part in jax.jit(lambda: random_places(key, n))()]


def test_no_pixel_is_in_both_splits(key):
  photo, top, left = drawn_places(key, 20_000)
  test = touched(*grid_places("test"))
  train = touched(*grid_places("train"))
  for which in (0, 1):
    drawn = touched(top[photo == which], left[photo == which])
    assert not (drawn & test).any()
    # and nearly all of the photograph is used; the last rows are off the test grid
    assert (drawn | test).mean() > 0.99
  assert not (train & test).any() and (train | test).mean() > 0.98


def test_places_are_uniform(key):
  photo, top, left = drawn_places(key, 20_000)
  allowed = [strip + x for strip in range(0, WIDTH, 160) for x in range(65)]
  counts = np.bincount(left, minlength=WIDTH)
  assert set(np.flatnonzero(counts)) == set(allowed)
  assert scipy.stats.chisquare(counts[allowed]).pvalue > 1e-5
  counts = np.bincount(top, minlength=HEIGHT - SIZE + 1)
  assert len(counts) == 396 and scipy.stats.chisquare(counts).pvalue > 1e-5
  assert abs(photo.mean() - 0.5) < 4 * 0.5 / np.sqrt(20_000)


def test_the_splits_are_crops_of_their_photograph(photos):
  for split, number in (("train", SPEC.num_train), ("test", SPEC.num_test)):
    crops = crops_on_grid(split)
    top, left = grid_places(split)
    assert len(crops["image"]) == number == 2 * len(top)
    for row in range(0, number, 97):
      y, x, which = top[row % len(top)], left[row % len(top)], row // len(top)
      expected = photos[which, y : y + SIZE, x : x + SIZE]
      np.testing.assert_array_equal(crops["image"][row], expected)
      assert crops["label"][row] == which


def is_in(photo, crop):
  """Whether a photograph holds a crop somewhere."""
  corners = photo[: HEIGHT - SIZE + 1, : WIDTH - SIZE + 1]
  far = photo[SIZE - 1 :, SIZE - 1 :]
  found = np.all((corners == crop[0, 0]) & (far == crop[-1, -1]), axis=-1)
  return any(
    np.array_equal(photo[y : y + SIZE, x : x + SIZE], crop)
    for y, x in np.argwhere(found)
  )


@pytest.mark.parametrize("flip", [False, True])
def test_a_batch_is_crops_of_the_labelled_photographs(photos, flip):
  data = make_dataset("photos", batch_size=16, seed=0, flip=flip)
  batch = jax.jit(data.batch)(data.arrays(0, 1), jnp.int32(7))
  image = to_levels(np.asarray(batch["x"]), SPEC)
  straight = 0
  for crop, label in zip(image, np.asarray(batch["label"]), strict=True):
    straight += is_in(photos[label], crop)
    assert is_in(photos[label], crop) or is_in(photos[label], crop[:, ::-1])
  assert 2 <= straight <= 14 if flip else straight == 16
