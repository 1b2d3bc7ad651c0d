"""The whole evaluation on real digits: what it says of generators that are known."""

import math
import re

import numpy as np
import pytest
from sklearn.datasets import load_digits

from jgm.data.spec import DataSpec
from jgm.eval.frechet import frechet_distance
from jgm.eval.image_metrics import image_scores
from jgm.eval.manifold import precision_recall
from jgm.eval.reference import make_reference

N = 250


@pytest.fixture(scope="module")
def digits():
  """Train, test, and real digits that neither the nets nor the reference have seen."""
  images, labels = load_digits(return_X_y=True)
  order = np.random.default_rng(0).permutation(len(images))
  images = (images[order] / 8 - 1).astype(np.float32).reshape(-1, 8, 8, 1)
  parts = np.split(images, [1000, 1250]), np.split(labels[order], [1000, 1250])
  return [{"x": i, "label": k} for i, k in zip(*parts, strict=True)]


@pytest.fixture(scope="module")
def spec():
  return DataSpec((8, 8, 1), levels=17, num_classes=10)


@pytest.fixture(scope="module")
def reference(digits, spec):
  train, test, _ = digits
  return make_reference(
    train, test, spec=spec, name="digits", num_samples=N, net_steps=200
  )


@pytest.fixture
def rng():
  return np.random.default_rng(7)


def test_floors_are_real_against_real_at_equal_n(reference, digits):
  floors = reference.floors
  rng = np.random.default_rng(1)
  features = reference.nets.features
  test = features(digits[1]["x"])
  drawn = [features(digits[0]["x"][rng.permutation(1000)[:N]]) for _ in range(5)]
  # Two means of 5 draws each, in units of the spread that the reference itself gives.
  for name, values in (
    ("frechet_distance", [frechet_distance(d, test) for d in drawn]),
    ("precision", [precision_recall(d, test).precision for d in drawn]),
  ):
    error = 4 * floors[name].spread * math.sqrt(2 / 5)
    assert floors[name].spread > 0
    assert np.mean(values) == pytest.approx(floors[name].mean, abs=error)
  assert floors["confident_share"].mean == np.mean(
    reference.nets.judge.probabilities(digits[1]["x"]).max(axis=1) > 0.9
  )
  assert reference.judge_accuracy > 0.9


def test_fresh_real_digits_are_at_the_floor_and_give_no_warning(reference, digits):
  """Digits that nothing here has seen are the perfect generator."""
  found = image_scores(digits[2]["x"], reference)
  assert found.warnings == ()
  assert found.class_shares.sum() == pytest.approx(1)
  for name, scalar in found.scalars.items():
    assert np.isfinite([scalar.value, scalar.floor]).all(), name
    if scalar.ceiling is not None:
      assert abs(scalar.value - scalar.floor) < 0.1 * abs(scalar.ceiling - scalar.floor)
  assert found.scalars["copies_exact_share"].value == 0
  # 1.95 sqrt(2 / N) is the 0.1% point of the Kolmogorov-Smirnov distance.
  assert found.scalars["neighbour_ks_pixels"].value < 1.95 * math.sqrt(2 / N)


@pytest.mark.parametrize("sigma", [0.0, 0.02, 0.1])
def test_replayed_training_images_are_caught(reference, digits, rng, sigma):
  """Exact, within a grey level, and in visible noise: all else finds it perfect."""
  replay = digits[0]["x"][rng.permutation(1000)[:N]]
  found = image_scores(replay + sigma * rng.normal(size=replay.shape), reference)
  assert len(found.warnings) == 1 and found.warnings[0].startswith("copying: ")
  scalars = found.scalars
  assert scalars["frechet_distance"].value < 1.5 * scalars["frechet_distance"].floor
  assert scalars["neighbour_ks_pixels"].value > 0.9
  assert "samples lie nearer" in scalars["neighbour_ks_pixels"].note
  assert scalars["copies_near_share"].value > 0.9
  if not sigma:
    assert scalars["copies_exact_share"].value == 1
    np.testing.assert_array_equal(digits[0]["x"][found.nearest], replay)


def test_a_tenth_of_copies_among_fresh_digits_is_caught(reference, digits):
  mixed = digits[2]["x"][:N].copy()
  mixed[: N // 10] = digits[0]["x"][: N // 10]
  found = image_scores(mixed, reference)
  assert found.scalars["copies_exact_share"].value == pytest.approx(0.1)
  assert found.warnings[0].startswith("copying: 10.0% of the samples equal")


def test_one_class_is_called_a_collapse(reference, digits):
  threes = digits[2]["x"][digits[2]["label"] == 3]
  found = image_scores(np.resize(threes, (N, 8, 8, 1)), reference)
  (missing,) = (w for w in found.warnings if "of 10 classes" in w)
  assert int(re.match(r"collapse: (\d)", missing)[1]) >= 7 and " 0 (0" in missing
  assert any("neighbourhoods" in w for w in found.warnings)
  assert not any(w.startswith("copying") for w in found.warnings)
  assert found.scalars["inception_style_score"].value < 1.3
  assert found.scalars["class_kl_nats"].value > 1.9
  assert found.scalars["recall"].value < 0.15


def test_one_image_is_a_collapse_by_every_warning(reference, digits):
  found = image_scores(np.repeat(digits[2]["x"][:1], N, axis=0), reference).warnings
  for words in ("9 of 10 classes have", "in 1 of 10 classes", "100.0% of the samples"):
    assert sum(words in warning for warning in found) == 1, words
  assert any("neighbourhoods" in warning for warning in found)


@pytest.mark.parametrize("kept", [1, 5])
def test_few_images_of_each_class_are_repeats(reference, digits, kept):
  """Five of each reach most of the data's neighbourhoods, of all classes."""
  images, label = digits[2]["x"], digits[2]["label"]
  few = [np.resize(images[label == k][:kept], (N // 10, 8, 8, 1)) for k in range(10)]
  found = image_scores(np.concatenate(few), reference)
  repeats = "collapse: 100.0% of the samples equal another sample to the grey level"
  assert sum(w.startswith(repeats) for w in found.warnings) == 1
  assert any("in 10 of 10 classes" in w for w in found.warnings) == (kept == 1)
  if kept == 5:
    assert len(found.warnings) == 1


def test_alike_within_each_class_is_a_collapse_though_none_is_drawn_twice(
  reference, digits
):
  """Every class has its share, near its mean: nothing else that warns sees it."""
  images, label = digits[2]["x"], digits[2]["label"]
  means = np.stack([images[label == k].mean(axis=0) for k in range(10)])[label]
  for spread, alike in ((0.2, True), (0.7, False)):
    found = image_scores(means + spread * (images - means), reference).warnings
    assert len(found) == alike
  narrow = image_scores(means + 0.2 * (images - means), reference).warnings[0]
  assert narrow.startswith("collapse: in 10 of 10 classes the samples are nearly alike")
  share = float(re.search(r" 3 \((\d+\.\d)%\)", narrow)[1])
  assert 10 < share < 34


def test_a_few_repeats_are_no_collapse(reference, digits):
  images = digits[2]["x"][:N].copy()
  images[: N // 50] = images[-(N // 50) :]  # 4% are one of a pair
  assert image_scores(images, reference).warnings == ()


def test_noise_is_no_likeness_and_stands_at_the_ceiling(reference, rng):
  found = image_scores(rng.uniform(-1, 1, (N, 8, 8, 1)), reference)
  assert any(w.startswith("no likeness") for w in found.warnings)
  distance = found.scalars["frechet_distance"]
  assert distance.value == pytest.approx(distance.ceiling, rel=0.05)
  assert distance.ceiling > 20 * distance.floor
  assert "samples lie farther" in found.scalars["neighbour_ks_pixels"].note


def test_every_note_says_the_net_the_number_and_the_seed(reference, digits):
  for name, scalar in image_scores(digits[2]["x"], reference).scalars.items():
    assert (
      f"N={N}" in scalar.note and "seed 0" in scalar.note and "floor" in scalar.note
    )
    assert ("FeatureNet" in scalar.note) != ("JudgeNet" in scalar.note) or (
      scalar.note.startswith("pixels")
    ), name
    assert not re.search(r"\bfid\b", f"{name} {scalar.note}", re.IGNORECASE), name


def test_values_beyond_the_range_are_clipped(reference, digits):
  saturated = np.where(digits[2]["x"] > 0.9, 5.0, digits[2]["x"])
  kept = np.where(digits[2]["x"] > 0.9, 1.0, digits[2]["x"])
  first, second = (image_scores(x, reference).scalars for x in (saturated, kept))
  assert first == second


def test_fid_only_with_inception_features(digits, spec):
  train, test, fresh = digits
  project = np.random.default_rng(0).normal(size=(64, 5))
  inception = lambda images: images.reshape(len(images), -1) @ project
  reference = make_reference(
    train,
    test,
    spec=spec,
    name="digits",
    num_samples=N,
    net_steps=200,
    inception=inception,
  )
  found = image_scores(fresh["x"], reference).scalars
  fid = found["fid"]
  assert next(iter(found)) == "fid" and len(fresh["x"]) > N
  expected = lambda images: frechet_distance(inception(images), inception(train["x"]))
  assert fid.value == pytest.approx(expected(fresh["x"]))
  assert fid.floor == pytest.approx(expected(test["x"]))
  assert "Inception" in fid.note and "seed 0" in fid.note
  assert f"N={len(fresh['x'])} samples against the statistics of all 1000" in fid.note
  assert fid.floor < fid.ceiling and fid.better == "lower"
  # All else is of as many samples as there are test images.
  assert f"N={N} against {N} test" in found["frechet_distance"].note


def test_without_labels_there_is_no_judge(digits):
  train, test, fresh = ({"x": part["x"]} for part in digits)
  spec = DataSpec((8, 8, 1), levels=17)
  reference = make_reference(
    train, test, spec=spec, name="unlabelled/x:1", num_samples=100, net_steps=60
  )
  found = image_scores(fresh["x"], reference)
  assert "confident_share" not in found.scalars and found.class_shares.size == 0
  assert "turns" in found.scalars["frechet_distance"].note
  assert found.warnings == ()
  assert image_scores(fresh["x"], reference).scalars == found.scalars
  one = image_scores(np.repeat(fresh["x"][:1], 100, axis=0), reference).warnings
  assert one[0].startswith("collapse: the samples are nearly alike: their features ")
  assert "100.0% of the samples equal another" in one[1]


def test_bad_samples_are_refused(reference, digits, spec):
  with pytest.raises(ValueError, match=r"250 samples of shape \(8, 8, 1\) .* got 10"):
    image_scores(np.zeros((10, 8, 8, 1)), reference)
  with pytest.raises(ValueError, match=r"of shape \(8, 8, 3\)"):
    image_scores(np.zeros((N, 8, 8, 3)), reference)
  with pytest.raises(ValueError, match="250 of 250 images hold values"):
    image_scores(np.full((N, 8, 8, 1), np.nan), reference)
  train, test, _ = digits
  with pytest.raises(ValueError, match=r"=7 on digits leaves 7 .*: 20 are the"):
    make_reference(train, test, spec=spec, name="digits", num_samples=7)
