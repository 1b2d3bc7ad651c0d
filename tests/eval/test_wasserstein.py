"""Wasserstein-1 against sorting and against all permutations; a critic beside it."""

import itertools
import math
import time

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jgm.eval.wasserstein import critic_distance_scalars, wasserstein_1

FLAT = lambda x: jnp.zeros(len(x))


@pytest.fixture
def rng():
  return np.random.default_rng(0)


@pytest.mark.parametrize("n", [1, 2, 300])
def test_on_a_line_it_is_the_mean_distance_of_the_sorted(rng, n):
  x, y = rng.normal(size=(n, 1)), 3 + 2 * rng.gamma(2.0, size=(n, 1))
  expected = np.abs(np.sort(x, axis=0) - np.sort(y, axis=0)).mean()
  assert wasserstein_1(x, y) == pytest.approx(expected, rel=1e-9)
  scipys = scipy.stats.wasserstein_distance(x[:, 0], y[:, 0])
  assert wasserstein_1(x, y) == pytest.approx(scipys, rel=1e-9)


@pytest.mark.parametrize("shape", [(2,), (3, 2, 1)])
def test_it_is_the_least_over_all_permutations(rng, shape):
  for n in (2, 5, 6):
    x, y = rng.normal(size=(2, n, *shape))
    flat = lambda a, n=n: a.reshape(n, -1)
    distances = np.linalg.norm(flat(x)[:, None] - flat(y)[None], axis=2)
    least = min(
      distances[np.arange(n), list(order)].mean()
      for order in itertools.permutations(range(n))
    )
    assert wasserstein_1(x, y) == pytest.approx(least, rel=1e-9)


def test_of_a_set_that_was_moved_it_is_the_way(rng):
  x = rng.normal(size=(40, 5))
  moved = x[rng.permutation(40)] + np.array([3.0, 0, 0, 4.0, 0])
  assert wasserstein_1(moved, x) == pytest.approx(5.0, rel=1e-9)
  assert wasserstein_1(x[::-1], x) == 0.0
  # Far from the origin no digits are lost.
  assert wasserstein_1(1e4 + moved, 1e4 + x) == pytest.approx(5.0, rel=1e-7)


def test_it_is_too_large_of_few_and_less_so_of_many(rng):
  """Both sets are of one distribution, whose distance to itself is 0."""
  found = [wasserstein_1(*rng.normal(size=(2, n, 2))) for n in (20, 100, 500)]
  assert found[0] > found[1] > found[2] > 0


def test_a_thousand_images_take_seconds_at_most(rng):
  x, y = rng.normal(size=(2, 1000, 64))
  start = time.process_time()
  wasserstein_1(x, y)
  assert time.process_time() - start < 10


def test_wrong_sets_are_named(rng):
  with pytest.raises(ValueError, match=r"\(3, 2\) and \(4, 2\)"):
    wasserstein_1(np.zeros((3, 2)), np.zeros((4, 2)))
  with pytest.raises(ValueError, match=r"\[N, \.\.\.\]; got \(3,\)"):
    wasserstein_1(np.zeros(3), np.zeros(3))
  with pytest.raises(ValueError, match="not finite"):
    wasserstein_1(np.full((3, 2), np.nan), np.zeros((3, 2)))


def scalars(score, samples, real, train, **options):
  return critic_distance_scalars(score, samples, real, train=train, seed=0, **options)


@pytest.mark.parametrize("slope", [1.0, 7.0])
def test_the_best_critic_of_a_shift_finds_the_distance(rng, slope):
  """Data moved by v along one axis: the critic slope * x attains slope * |v|."""
  real, train = rng.normal(size=(400, 3)), rng.normal(size=(800, 3))
  samples = real[rng.permutation(400)] - np.array([2.5, 0, 0])
  found = scalars(lambda x: slope * x[:, 0], samples, real, train, slope=slope)
  assert list(found) == ["critic_estimate", "wasserstein_1"]
  assert found["wasserstein_1"].value == pytest.approx(2.5, rel=1e-6)
  assert found["critic_estimate"].value == pytest.approx(2.5 * slope, rel=1e-5)
  assert f"here {slope:g} W1" in found["critic_estimate"].note
  assert f"K near {slope:g}" in found["critic_estimate"].note


def test_no_critic_of_slope_1_is_above_the_distance(rng):
  """Duality holds between the sets, whatever was drawn of them."""
  samples, real, train = rng.normal(size=(3, 300, 2)) * [[[1.5]], [[1]], [[1]]]
  for w in rng.normal(size=(20, 2)):
    score = lambda x, w=w: jnp.abs(x @ (w / np.linalg.norm(w)) - w[0])
    found = scalars(score, samples, real, train, max_examples=100)
    assert abs(found["critic_estimate"].value) <= found["wasserstein_1"].value + 1e-6
    assert "N=100 against 100 held out, seed 0" in found["wasserstein_1"].note
    assert "K not known" in found["critic_estimate"].note


def test_the_floors_are_of_training_examples_in_the_samples_place(rng):
  real, train = rng.normal(size=(300, 2)), rng.normal(size=(1000, 2))
  found = scalars(lambda x: x[:, 1], real + 9, real, train)
  between = [wasserstein_1(*rng.normal(size=(2, 300, 2))) for _ in range(8)]
  spread = 6 * np.std(between)
  assert abs(found["wasserstein_1"].floor - np.mean(between)) < spread
  assert found["wasserstein_1"].floor > 0
  assert abs(found["critic_estimate"].floor) < 4 * math.sqrt(2 / 300)
  expected = real[:, 1].mean() - train[:, 1].mean()
  error = 4 * math.sqrt(1 / 300 / 5)  # of five subsets
  assert abs(found["critic_estimate"].floor - expected) < error
  assert found["critic_estimate"].value == pytest.approx(-9, abs=1e-5)
  assert "5 training subsets" in found["wasserstein_1"].note


def test_training_data_known_by_heart_push_the_floor_below_zero(rng):
  real, samples, train = np.split(rng.normal(size=(800, 2)), [200, 400])
  known = {tuple(np.float32(row)) for row in train}
  score = lambda x: jnp.array([float(tuple(np.float32(row)) in known) for row in x])
  found = scalars(score, samples, real, train)["critic_estimate"]
  assert found.value == 0.0 and found.floor == -1.0


def test_images_and_a_flat_critic(rng):
  samples, real, train = rng.uniform(-1, 1, (3, 60, 4, 4, 1)).astype(np.float32)
  found = scalars(FLAT, samples[:25], real, train)
  assert found["critic_estimate"].value == found["critic_estimate"].floor == 0.0
  assert found["wasserstein_1"].value > 0 and "N=25" in found["wasserstein_1"].note
  same = scalars(FLAT, real, real, real)["critic_estimate"]
  assert "nan" not in same.note


def test_the_same_seed_compares_the_same(rng):
  sets = rng.normal(size=(3, 80, 2))
  assert scalars(FLAT, *sets, max_examples=20) == scalars(FLAT, *sets, max_examples=20)


def test_scores_of_another_shape_are_named(rng):
  sets = rng.normal(size=(3, 30, 2))
  with pytest.raises(ValueError, match=r"must be \[N\], not \[15, 1\]"):
    scalars(lambda x: x[:, :1], *sets)
