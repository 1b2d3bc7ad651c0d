"""The evaluation of points in the plane, on generators that are known."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.core.experiment import LogProb, Scalar
from jgm.data import make_dataset
from jgm.data.toys import exact_log_density, exact_mixture
from jgm.eval.points import make_points_evaluation

TOYS = [
  ("moons", "ring"),
  ("rings", "ring"),
  ("checkerboard", "ring"),
  ("gaussian_mixture", "ring"),
  ("gaussian_mixture", "grid"),
]
toys = pytest.mark.parametrize("name, arrangement", TOYS)


def dataset(name, arrangement="ring"):
  return make_dataset(name, batch_size=8000, seed=5, arrangement=arrangement)


def evaluate(data, change=lambda x, label: x, *, num_samples=500, **options):
  """The evaluation of a generator that draws from the data, and changes them."""

  def sample(state, key, n):
    batch = jax.device_get(data.batch({}, jnp.int32(7)))
    x = change(batch["x"], batch["label"])
    assert len(x) >= n
    return x[:n]

  options = {"seed": 0, "num_samples": num_samples, **options}
  return make_points_evaluation(data, sample, **options)(None, jax.random.key(0))


@toys
def test_a_perfect_generator_is_at_the_floor_and_gives_no_warning(name, arrangement):
  found = evaluate(dataset(name, arrangement))
  assert found.warnings == ()
  for quantity, scalar in found.scalars.items():
    assert np.isfinite([scalar.value, scalar.floor]).all(), quantity
    assert "N=500" in scalar.note and "seed 0" in scalar.note
    # The floor is the mean of five draws, and its spread is known from them alone.
    spread = float(re.search(r"floor ± (\S+)", scalar.note)[1])
    assert abs(scalar.value - scalar.floor) <= 6 * spread, quantity
  for quantity in ("precision", "density", "coverage"):
    scalar = found.scalars[quantity]
    gap = abs(scalar.ceiling - scalar.floor)
    assert abs(scalar.value - scalar.floor) < 0.25 * gap, quantity


@pytest.mark.parametrize("arrangement, modes", [("ring", 8), ("grid", 25)])
def test_the_known_answer_of_the_mixtures(arrangement, modes):
  scalars = evaluate(dataset("gaussian_mixture", arrangement)).scalars
  covered = scalars["modes_covered"]
  assert covered.value == covered.floor == modes and covered.ceiling == 0
  assert scalars["good_share"].value == pytest.approx(0.989, abs=0.02)
  assert list(scalars)[:3] == ["modes_covered", "good_share", "mode_kl_nats"]


@pytest.mark.parametrize("arrangement, modes", [("ring", 8), ("grid", 25)])
def test_two_lost_modes_are_reported(arrangement, modes):
  data = dataset("gaussian_mixture", arrangement)
  found = evaluate(data, lambda x, label: x[label < modes - 2])
  assert found.scalars["modes_covered"].value == modes - 2
  (warning,) = found.warnings
  assert warning.startswith(f"collapse: 2 of {modes} modes")
  assert {"ring": "(0, -2) 0.0%", "grid": "(2, 2) 0.0%"}[arrangement] in warning
  for quantity in ("mode_kl_nats", "energy_distance", "frechet_distance"):
    scalar = found.scalars[quantity]
    assert scalar.value > 2 * scalar.floor, quantity


def test_one_mode_alone_is_a_collapse_by_every_measure():
  data = dataset("gaussian_mixture")
  found = evaluate(data, lambda x, label: x[label == 3])
  assert found.scalars["modes_covered"].value == 1
  assert any(w.startswith("collapse: 7 of 8 modes") for w in found.warnings)
  assert any("neighbourhoods" in w for w in found.warnings)
  assert found.scalars["mode_kl_nats"].value == pytest.approx(np.log(8))


@toys
def test_one_point_is_a_collapse_of_every_toy(name, arrangement):
  found = evaluate(dataset(name, arrangement), lambda x, label: 0 * x + x[:1])
  assert all(warning.startswith("collapse") for warning in found.warnings)
  assert any("neighbourhoods (of" in warning for warning in found.warnings)
  lost = {"ring": "7 of 8 modes", "grid": "24 of 25 modes"}[arrangement]
  words = lost if name == "gaussian_mixture" else "hardly reach"
  assert sum(words in warning for warning in found.warnings) == 1


@pytest.mark.parametrize("arrangement", ["ring", "grid"])
@pytest.mark.parametrize("spread", [0.3, 0.7])
def test_modes_that_are_too_narrow_are_reported(arrangement, spread):
  """All are reached, each in its share: on the grid nothing else that warns sees it."""
  data = dataset("gaussian_mixture", arrangement)
  means = np.asarray(exact_mixture(data).means)
  shift = 0.02 * np.array([1.0, -1.0])  # a mode is as narrow wherever it lies

  def narrow(x, label):
    return means[label] + shift + spread * (x - means[label])

  found = [w for w in evaluate(data, narrow).warnings if "within the modes" in w]
  assert len(found) == (spread < 0.5)
  if found:
    share = float(re.search(r"spread (\S+)% as far", found[0])[1])
    # Of 500 points the spread is known to 1 / sqrt(4 * 500).
    assert share == pytest.approx(100 * spread, rel=4 * 0.022)


def test_few_samples_of_many_modes_are_no_collapse():
  """With less than 20 expected of each mode, a missing one may be chance."""
  found = evaluate(dataset("gaussian_mixture", "grid"), num_samples=60)
  assert found.warnings == () and found.scalars["modes_covered"].floor < 25


@pytest.mark.parametrize("name, classes", [("moons", 2), ("checkerboard", 8)])
def test_a_missing_part_is_reported(name, classes):
  found = evaluate(dataset(name), lambda x, label: x[label != 1])
  assert f"hardly reach 1 of the data's {classes} classes" in found.warnings[0]
  assert "of class 1 (of fresh" in found.warnings[0]


@toys
def test_a_shifted_cloud_is_caught(name, arrangement):
  found = evaluate(dataset(name, arrangement), lambda x, label: x + 0.3)
  assert found.scalars["frechet_distance"].value > 0.1
  precision = found.scalars["precision"]
  assert precision.value < 0.9 * precision.floor
  # Every toy reaches about 2 from the origin: 10 is far away from all of them.
  far = evaluate(dataset(name, arrangement), lambda x, label: x + 10)
  distance = far.scalars["energy_distance"]
  # Of sets that lie far apart it grows as twice the distance.
  assert 18 < distance.value < 2 * np.sqrt(200) and distance.value > distance.floor
  assert any(w.startswith("no likeness") for w in far.warnings)


def test_nothing_is_shown_as_a_scale_that_is_none():
  """Uniform points have the ring's mean and covariance, and reach all of it."""
  scalars = evaluate(dataset("gaussian_mixture")).scalars
  assert scalars["recall"].ceiling is None
  for scalar in scalars.values():
    if scalar.ceiling is not None:
      assert (scalar.ceiling > scalar.floor) == (scalar.better == "lower")


@pytest.mark.parametrize("name", ["checkerboard", "gaussian_mixture", "moons"])
def test_the_exact_density_stands_at_its_floor(name):
  data = dataset(name)
  exact = exact_log_density(data) or (lambda x: jnp.zeros(len(x)))
  log_prob = LogProb(lambda state, batch, key: exact(batch["x"]), "exact", "density")
  found = evaluate(data, log_prob=log_prob, chunk_size=64)
  scalar = found.scalars["nats_exact"]
  assert next(iter(found.scalars)) == "nats_exact" and "500 held-out" in scalar.note
  if name == "moons":
    assert scalar.floor is None
  else:
    assert scalar.value == pytest.approx(scalar.floor, rel=1e-5)
    assert "exact density" in scalar.note and scalar.floor < scalar.ceiling
  if name == "checkerboard":
    assert scalar.floor == pytest.approx(np.log(8)) and scalar.ceiling == np.log(16)


def test_a_worse_model_is_above_the_floor():
  data = dataset("gaussian_mixture")
  exact = exact_log_density(data)
  shifted = lambda state, batch, key: exact(batch["x"] + 0.1)
  found = evaluate(data, log_prob=LogProb(shifted, "exact", "density"))
  # The cross-entropy exceeds the entropy by |shift|^2 / (2 scale^2) = 1.
  scalar = found.scalars["nats_exact"]
  assert scalar.value - scalar.floor == pytest.approx(1, abs=4 * 2**0.5 / 500**0.5)


def test_the_pictures_and_the_experiments_own():
  data, seen = dataset("moons"), {}

  def trajectory(state, key):
    seen["trajectory"] = key
    return np.random.default_rng(0).normal(size=(3, 50, 2)), ["a", "b", "c"]

  def pictures(state, key):
    seen["pictures"] = key
    return {"my own": np.zeros((4, 4, 3), np.uint8)}

  def scalars(state, key):
    seen["scalars"] = key
    return {"accuracy_at_2": Scalar(0.5)}

  found = evaluate(data, trajectory=trajectory, pictures=pictures, scalars=scalars)
  assert list(found.images) == ["samples", "how samples arise", "my own"]
  for picture in found.images.values():
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
  assert list(found.scalars)[-1] == "accuracy_at_2"
  data_of = [jax.random.key_data(key).tobytes() for key in seen.values()]
  assert len(set(data_of)) == 3


def test_of_very_many_samples_some_are_measured(monkeypatch):
  """Distances between all pairs would take minutes."""
  monkeypatch.setattr("jgm.eval.points.MAX_POINTS", 100)
  found = evaluate(dataset("moons"), num_samples=5000)
  assert "N=100 against 100" in found.scalars["precision"].note


def test_what_cannot_be_evaluated_is_refused_before_anything_is_drawn():
  def refuse(*_):
    raise AssertionError("data were read")

  moons = dataset("moons")._replace(split=refuse)
  make_points_evaluation(moons, refuse, num_samples=20, seed=0)
  with pytest.raises(ValueError, match=r"num_samples=5 on moons leaves 5 .*20 are"):
    make_points_evaluation(moons, refuse, num_samples=5, seed=0)
  with pytest.raises(ValueError, match=r"digits has examples of shape \[8, 8, 1\]"):
    make_points_evaluation(dataset("digits"), refuse, num_samples=50, seed=0)


def test_samples_that_are_not_finite_are_named():
  with pytest.raises(ValueError, match="samples holds values that are not finite"):
    evaluate(dataset("moons"), lambda x, label: x * np.nan)
