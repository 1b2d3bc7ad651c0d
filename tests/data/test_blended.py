"""Digits over photographs, and two domains as one dataset."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.datasets

from jgm.data import DatasetError, make_dataset, to_uint8
from jgm.data.blended import blend, chosen_crops
from jgm.data.domains import pair_domains
from jgm.data.photos import SIZE, crops_on_grid


@pytest.fixture(scope="module")
def blended():
  return make_dataset("digits_over_photos", batch_size=16, seed=0)


@pytest.fixture(scope="module")
def photos():
  return np.stack(sklearn.datasets.load_sample_images().images)


def batch_of(data, step=3):
  return jax.device_get(jax.jit(data.batch)(data.arrays(0, 1), jnp.int32(step)))


def uint8_difference(digit, crop):
  """|crop - digit| of 255: a digit's level 16 is that, a crop is the mean of 4x4."""
  shrunk = crop.reshape(8, 4, 8, 4, 3).astype(float).mean(axis=(1, 3))
  return np.abs(shrunk - digit.astype(float) * 255 / 16)


def test_a_split_is_the_difference_of_digits_and_crops(blended):
  digits = make_dataset("digits", batch_size=16, seed=0)
  for split in ("train", "test"):
    plain, found = digits.split(split), blended.split(split)
    np.testing.assert_array_equal(plain["label"], found["label"])
    crops = crops_on_grid(split)["image"]
    chosen = chosen_crops(len(plain["x"]), len(crops))
    for row in range(0, len(plain["x"]), 37):
      digit = np.round((plain["x"][row] + 1) * 8)
      expected = uint8_difference(digit, crops[chosen[row]])
      pixels = to_uint8(found["x"][row], blended.spec)
      assert np.abs(pixels - expected).max() <= 0.51


def test_train_lies_over_train_strips_and_test_over_test_strips(blended, photos):
  """Where a digit has no ink, the picture is the photograph's: found in its strips."""
  digits = make_dataset("digits", batch_size=16, seed=0)
  # Means of 4x4 at each place, [2, y, x, 3].
  windows = np.lib.stride_tricks.sliding_window_view(photos, (4, 4), (1, 2))
  means = windows.astype(float).mean(axis=(-1, -2))
  heights = means.shape[1] - 28
  only_one = 0
  for split, first, last in (("train", 0, 96), ("test", 96, 160)):
    inkless = np.all(digits.split(split)["x"][:, :, 0] == -1, axis=(1, 2))
    rows = np.flatnonzero(inkless)[:10]
    assert len(rows) == 10
    for picture in to_uint8(blended.split(split)["x"][rows], blended.spec):
      far = np.max(  # of the picture's first column: 8 means, one below the other
        [
          np.abs(means[:, 4 * i : 4 * i + heights] - picture[i, 0]).max(axis=-1)
          for i in range(8)
        ],
        axis=0,
      )
      left = np.nonzero(far <= 0.51)[2]
      assert np.any((left % 160 >= first) & (left % 160 + SIZE <= last))
      if len(left) == 1:
        only_one += 1
  assert only_one >= 5  # or the places would say nothing


def test_over_black_it_is_the_digit_and_over_white_its_negative(blended):
  digit = make_dataset("digits", batch_size=4, seed=0).split("test")["x"][:4]
  crop = np.ones((4, SIZE, SIZE, 3), np.float32)
  three = np.repeat(digit, 3, axis=-1)
  for strength, over, expected in (
    (1.0, -crop, three),
    (1.0, crop, -three),
    (0.0, crop, three),
    (0.25, crop, np.abs((three + 1) / 2 - 0.25) * 2 - 1),
  ):
    found = blend(digit, over, blended.spec, strength=strength)
    np.testing.assert_allclose(found, expected, atol=1 / 255)


def test_the_places_are_drawn_anew_and_the_digits_are_those_of_the_order(blended):
  digits = make_dataset("digits", batch_size=16, seed=0)
  one, plain = batch_of(blended), batch_of(digits)
  np.testing.assert_array_equal(one["label"], plain["label"])
  steps = [batch_of(blended, step)["x"][:, 0] for step in range(3, 90)]
  assert len(np.unique(np.concatenate(steps), axis=0)) > 0.98 * 16 * 87


def test_only_grey_images_in_memory_are_laid_over_photographs():
  for name, what in (("moons", r"\[2\]"), ("photos", r"\[32, 32, 3\]")):
    with pytest.raises(DatasetError, match=what):
      make_dataset(f"{name}_over_photos", batch_size=4, seed=0)
  with pytest.raises(DatasetError, match="did you mean 'digits'"):
    make_dataset("digit_over_photos", batch_size=4, seed=0)
  with pytest.raises(DatasetError, match=r"photo_strength is 1.5"):
    make_dataset("digits_over_photos", batch_size=4, seed=0, photo_strength=1.5)
  mnist = make_dataset("mnist_over_photos", batch_size=4, seed=0)
  assert mnist.spec.shape == (28, 28, 3) and mnist.spec.num_test == 10_000


def paired(source="digits", target="digits_over_photos", **options):
  make = lambda name, seed: make_dataset(name, batch_size=16, seed=seed, **options)
  return pair_domains(make(source, 0), make(target, 1))


def test_a_batch_has_no_label_of_the_target(blended):
  data = paired()
  batch, digits = batch_of(data), make_dataset("digits", batch_size=16, seed=0)
  assert batch.keys() == {"x", "label", "x_target"}
  assert batch["x"].shape == batch["x_target"].shape == (16, 8, 8, 3)
  source = batch_of(digits)
  for channel in range(3):
    np.testing.assert_array_equal(batch["x"][..., channel], source["x"][..., 0])
  np.testing.assert_array_equal(batch["label"], source["label"])
  target = make_dataset("digits_over_photos", batch_size=16, seed=1)
  np.testing.assert_array_equal(batch["x_target"], batch_of(target)["x"])
  # and its rows are other digits than the source's
  assert np.mean(batch_of(target)["label"] == source["label"]) < 0.6


def test_a_held_out_split_has_the_labels_of_both(blended):
  test = paired().split("test")
  assert test.keys() == {"x", "label", "x_target", "label_target"}
  np.testing.assert_array_equal(test["label_target"], blended.split("test")["label"])
  assert test["x"].shape == test["x_target"].shape == (500, 8, 8, 3)


def test_domains_that_do_not_go_together_are_refused():
  for source, target, why in (
    ("digits", "mnist_over_photos", "one size"),
    ("photos", "svhn_cropped", "same classes"),
    ("moons", "digits", "images of one size"),
  ):
    with pytest.raises(DatasetError, match=why):
      paired(source, target, in_memory=True)
  with pytest.raises(DatasetError, match="in_memory=True"):
    paired("mnist", "mnist_over_photos")
  few, many = (make_dataset("digits", batch_size=n, seed=n) for n in (4, 8))
  with pytest.raises(DatasetError, match=r"one batch size.*4 and 8"):
    pair_domains(few, many)
