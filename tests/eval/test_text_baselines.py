"""Text models without a network: distributions, checked by hand and by entropy."""

import gzip
import math
import time
import zlib

import numpy as np
import pytest

from jgm.data import make_dataset
from jgm.eval.text_baselines import (
  codes,
  compressed_bits_per_byte,
  discounts,
  make_text_baselines,
  n_gram_log_mass,
)

TRAIN = b"the cat sat on the mat and the rat sat on the hat; the end is near. " * 3


@pytest.mark.parametrize("order", [0, 1, 2, 5, 6])
@pytest.mark.parametrize("train", [TRAIN, b"ab", b"aaaaaaaaaaaaaaaaaaaa", b"x"])
def test_masses_of_the_next_byte_sum_to_one(order, train):
  for context in (b"", b"t", b"the c", b"on the ", b"never seen", b"\0\xff"):
    nexts = [
      n_gram_log_mass(train, context + bytes([x]), order=order)[-1] for x in range(256)
    ]
    assert np.exp(nexts).sum() == pytest.approx(1.0, rel=1e-12)
    assert np.isfinite(nexts).all()


def by_hand(train, context, byte, order):
  """Kneser and Ney's rule in plain Python, from the definition."""
  if order < 0:
    return 1 / 256

  def count(word, length):
    if length == highest:
      return sum(train[i : i + len(word)] == word for i in range(len(train)))
    before = {
      train[i : i + 1]
      for i in range(len(train))
      if train[i + 1 : i + 1 + len(word)] == word
    }
    return len(before)

  highest = by_hand.order
  words = {train[i : i + order + 1] for i in range(len(train) - order)}
  every = [count(word, order) for word in words]
  d = discounts(np.array(every))
  history = context[len(context) - order :]
  after = [count(history + bytes([x]), order) for x in range(256)]
  shorter = by_hand(train, context, byte, order - 1)
  if not sum(after):
    return shorter
  kept = max(after[byte] - d[min(after[byte], 3)], 0)
  share = sum(d[min(c, 3)] for c in after)
  return (kept + share * shorter) / sum(after)


def test_the_rule_by_hand():
  train, order = TRAIN[:80], 2
  by_hand.order = order
  for test in (b"the", b" sa", b"zzt", b"on "):
    expected = math.log(by_hand(train, test[:-1], test[-1], order))
    assert n_gram_log_mass(train, test, order=order)[-1] == pytest.approx(expected)


def test_discounts_are_the_papers():
  counts = np.array([1] * 40 + [2] * 16 + [3] * 8 + [4] * 5 + [9] * 3)
  y = 40 / 72
  expected = [0, 1 - 2 * y * 16 / 40, 2 - 3 * y * 8 / 16, 3 - 4 * y * 5 / 8]
  np.testing.assert_allclose(discounts(counts), expected)
  np.testing.assert_array_equal(discounts(np.array([1, 1])), [0, 0.5, 0.5, 0.5])


def chain(n, seed):
  """Text of a Markov chain over four bytes, and the entropy of its steps in bits."""
  table = np.array(
    [[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1], [0.4, 0.3, 0.2, 0.1], [0.25] * 4]
  )
  random, state, letters = np.random.default_rng(seed), 0, []
  for u in random.random(n):
    state = int(np.searchsorted(np.cumsum(table[state]), u))
    letters.append(97 + min(state, 3))
  stationary = np.linalg.matrix_power(table, 100)[0]
  return bytes(letters), float(-np.sum(stationary @ (table * np.log2(table))))


def test_a_markov_chain_has_its_entropy():
  (train, entropy), (test, _) = chain(100_000, 0), chain(20_000, 1)
  bits = -n_gram_log_mass(train, test, order=1) / math.log(2)
  error = np.std(bits) / math.sqrt(len(bits))
  assert np.mean(bits) == pytest.approx(entropy, abs=4 * error + 1e-3)
  # a longer context has nothing to tell, and costs little; a shorter one lacks it
  assert entropy - 0.02 < -np.mean(n_gram_log_mass(train, test)) / math.log(2) < 1.9
  assert -np.mean(n_gram_log_mass(train, test, order=0)) / math.log(2) > entropy + 0.1


def test_single_bytes_are_their_frequencies():
  """Given long uniform text over 16 bytes, four bits."""
  random = np.random.default_rng(0)
  train, test = (bytes(random.integers(65, 81, n, np.uint8)) for n in (10**6, 10**4))
  bits = -n_gram_log_mass(train, test, order=0) / math.log(2)
  assert np.mean(bits) == pytest.approx(4, abs=0.01)


def test_an_empty_text_and_an_order_too_long():
  assert n_gram_log_mass(TRAIN, b"").shape == (0,)
  np.testing.assert_allclose(n_gram_log_mass(b"", b"ab"), -math.log(256))
  with pytest.raises(ValueError, match=r"order is 7: it is 0 \.\. 6"):
    n_gram_log_mass(TRAIN, TRAIN, order=7)


def test_codes_hold_the_bytes_in_order():
  np.testing.assert_array_equal(codes(b"abc", 1), [0x6162, 0x6263])


def test_a_text_that_was_seen_costs_nothing_and_noise_all():
  noise = np.random.default_rng(0).bytes(20_000)
  compress = lambda x: gzip.compress(x, 9, mtime=0)
  assert compressed_bits_per_byte(noise, noise, compress) < 0.2
  other = np.random.default_rng(1).bytes(5000)
  assert compressed_bits_per_byte(noise, other, compress) == pytest.approx(8, abs=0.05)
  # 40 KB on, gzip has forgotten
  forgot = compressed_bits_per_byte(
    noise[:5000] + bytes(40_000), noise[:5000], compress
  )
  assert forgot > 7.5
  raw = compressed_bits_per_byte(b"", b"abcd", lambda x: zlib.compress(x, 0))
  assert raw == pytest.approx(8)


def test_beside_a_model_of_docs():
  data = make_dataset("docs", batch_size=1, seed=0, context=64)
  start = time.monotonic()
  found = make_text_baselines(data)
  scalars = found(None, None)
  assert time.monotonic() - start < 20
  values = {name.removeprefix("bits_per_byte_of_"): s for name, s in scalars.items()}
  assert list(values) == ["gzip", "xz", "single_bytes", "5_byte_contexts"]
  bits = {name: scalar.value for name, scalar in values.items()}
  assert bits["5_byte_contexts"] < bits["xz"] < bits["gzip"] < bits["single_bytes"]
  assert 1.5 < bits["5_byte_contexts"] < 2.2 and 2.2 < bits["gzip"] < 3.2
  size = f"{len(data.spec.corpus().test) - 1:,} held-out bytes"
  assert all(s.ceiling == 8 and size in s.note for s in values.values())
  assert found(None, None) is scalars  # once
