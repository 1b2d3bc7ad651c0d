import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jgm.data.shuffle import batch_indices, batch_rows, hash_uint32, random_bits


def order(epoch, n, seed=0):
  """The whole order of an epoch, as one batch."""
  rows = batch_rows(n)
  return batch_indices(epoch, rows, batch_size=n, num_examples=n, seed=seed)


def orders(epochs, n):
  """The orders of the first epochs, [epochs, n]."""
  indices = batch_indices(
    np.repeat(np.arange(epochs), n),
    np.tile(batch_rows(n), epochs),
    batch_size=n,
    num_examples=n,
    seed=0,
  )
  return indices.reshape(epochs, n)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 16, 17, 97, 1297, 65_537, 300_000])
def test_an_epoch_holds_each_example_once(n):
  for epoch in (0, 1, 12_345):
    np.testing.assert_array_equal(np.sort(order(epoch, n)), np.arange(n))


@pytest.mark.parametrize("n, batch_size", [(1297, 128), (10, 3), (12, 4), (7, 7)])
def test_the_batches_of_an_epoch_do_not_meet(n, batch_size):
  steps = n // batch_size

  def epoch(number):
    return np.concatenate(
      [
        batch_indices(
          number * steps + i,
          batch_rows(batch_size),
          batch_size=batch_size,
          num_examples=n,
          seed=3,
        )
        for i in range(steps)
      ]
    )

  for number in (0, 1, 5):
    seen = epoch(number)
    assert len(set(seen.tolist())) == len(seen) == steps * batch_size
  dropped = set(range(n)) - set(epoch(0).tolist()), set(range(n)) - set(epoch(1))
  assert n % batch_size == 0 or dropped[0] != dropped[1]


def test_a_batch_larger_than_the_dataset_holds_it_over_and_over():
  indices = batch_indices(5, batch_rows(25), batch_size=25, num_examples=10, seed=0)
  first, second, rest = indices[:10], indices[10:20], indices[20:]
  np.testing.assert_array_equal(np.sort(first), np.arange(10))
  np.testing.assert_array_equal(np.sort(second), np.arange(10))
  assert (first != second).any() and len(set(rest.tolist())) == 5


def test_epochs_and_seeds_differ_as_independent_orders_do():
  n = 1000  # two independent orders agree at Poisson(1) many places
  drawn = [order(epoch, n, seed) for epoch in range(5) for seed in (0, 1, 2, 2**40 + 7)]
  agreements = [np.sum(a == b) for i, a in enumerate(drawn) for b in drawn[:i]]
  assert max(agreements) <= 8  # P(Poisson(1) > 8) = 1e-6, for 190 pairs
  pairs = [scipy.stats.spearmanr(a, b)[0] for a, b in itertools.pairwise(drawn)]
  assert np.abs(pairs).max() < 4.5 / np.sqrt(n)


@pytest.mark.parametrize("n", [3, 10, 31])
def test_each_example_is_equally_likely_at_each_place(n):
  epochs = 4000
  drawn = orders(epochs, n)
  counts = np.stack([np.bincount(drawn[:, place], minlength=n) for place in range(n)])
  statistic = np.sum((counts - epochs / n) ** 2) / (epochs / n)
  # n^2 cells of which (n-1)^2 are free; 5 standard deviations
  free = (n - 1) ** 2
  assert abs(statistic - free) < 5 * np.sqrt(2 * free)


def test_all_orders_of_four_are_equally_likely():
  epochs = 6000
  kinds, counts = np.unique(orders(epochs, 4), axis=0, return_counts=True)
  assert len(kinds) == 24
  statistic = np.sum((counts - epochs / 24) ** 2) / (epochs / 24)
  assert statistic < 23 + 5 * np.sqrt(2 * 23)


def test_neighbours_in_an_epoch_are_not_neighbours_in_the_dataset():
  n = 60_000
  for epoch in range(3):
    indices = order(epoch, n).astype(float)
    assert abs(np.corrcoef(indices, np.arange(n))[0, 1]) < 4.5 / np.sqrt(n)
    for lag in (1, 2, 3, 128, 245):  # 245 is the side of the network
      correlation = np.corrcoef(indices[lag:], indices[:-lag])[0, 1]
      assert abs(correlation) < 4.5 / np.sqrt(n)


@pytest.mark.parametrize("n, batch_size", [(1297, 128), (1_281_167, 4096), (10, 64)])
def test_the_host_and_the_device_agree_at_any_step(n, batch_size):
  arguments = {"batch_size": batch_size, "num_examples": n, "seed": -5}
  rows = batch_rows(batch_size)
  on_device = jax.jit(lambda step: batch_indices(step, rows, **arguments))
  bits_on_device = jax.jit(lambda step: random_bits(step, rows, seed=9, stream=2))
  for step in (0, 1, 10**6, 123_456_789, 2**31 - 1):
    indices = batch_indices(step, rows, **arguments)
    assert isinstance(indices, np.ndarray) and indices.dtype == np.int32
    assert indices.min() >= 0 and indices.max() < n
    np.testing.assert_array_equal(on_device(jnp.int32(step)), indices)
    bits = random_bits(step, rows, seed=9, stream=2)
    np.testing.assert_array_equal(bits_on_device(jnp.int32(step)), bits)


def test_late_steps_of_large_batches_still_visit_each_example_once():
  n, batch_size = 150_001, 4096
  steps = n // batch_size
  first = (3_000_000 // steps) * steps  # 1.2e10 examples: far beyond 32 bits
  seen = batch_indices(
    np.repeat(np.arange(first, first + steps), batch_size),
    np.tile(batch_rows(batch_size), steps),
    batch_size=batch_size,
    num_examples=n,
    seed=0,
  )
  assert len(np.unique(seen)) == steps * batch_size


def test_rows_do_not_depend_on_which_others_are_asked_for():
  arguments = {"batch_size": 64, "num_examples": 1297, "seed": 1}
  every = batch_indices(17, batch_rows(64), **arguments)
  some = batch_indices(17, batch_rows(64)[16:24], **arguments)
  np.testing.assert_array_equal(some, every[16:24])
  bits = random_bits(17, batch_rows(64), seed=1, stream=0)
  np.testing.assert_array_equal(
    random_bits(17, batch_rows(64)[16:24], seed=1, stream=0), bits[16:24]
  )


def test_random_bits_are_fair_and_independent():
  rows = batch_rows(1000)
  bits = np.stack([random_bits(step, rows, seed=0, stream=1) for step in range(200)])
  other = np.stack([random_bits(step, rows, seed=0, stream=2) for step in range(200)])
  n = bits.size
  for shift in range(32):
    coin = (bits >> np.uint32(shift) & 1).astype(float) * 2 - 1
    tails = (other >> np.uint32(shift) & 1).astype(float) * 2 - 1
    assert abs(coin.mean()) < 5 / np.sqrt(n)
    assert abs((coin * tails).mean()) < 5 / np.sqrt(n)
    assert abs((coin[1:] * coin[:-1]).mean()) < 5 / np.sqrt(n)
    assert abs((coin[:, 1:] * coin[:, :-1]).mean()) < 5 / np.sqrt(n)
    # a hash of step + row would repeat along the diagonals
    assert abs((coin[1:, 1:] * coin[:-1, :-1]).mean()) < 5 / np.sqrt(n)
    assert abs((coin[1:, :-1] * coin[:-1, 1:]).mean()) < 5 / np.sqrt(n)


def test_the_hash_is_a_bijection():
  x = np.arange(2**18, dtype=np.uint32) * np.uint32(2**14)
  assert len(np.unique(hash_uint32(x, 3))) == len(x)


@pytest.mark.parametrize("batch_size, n", [(0, 5), (-1, 5), (4, 0)])
def test_empty_batches_and_datasets_are_refused(batch_size, n):
  with pytest.raises(ValueError, match="at least 1"):
    batch_indices(0, batch_rows(1), batch_size=batch_size, num_examples=n, seed=0)
