"""The enumerable problem, against its definition and optima that any policy can try."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.eval.enumeration import (
  all_sequences,
  expectation,
  num_prefixes,
  optimal_logp,
  preferences,
  preferred,
  prefix_rows,
)
from jgm.losses.kl import categorical_kl
from jgm.losses.preference import sequence_logp


@pytest.mark.parametrize(("vocab_size", "length"), [(4, 4), (3, 2), (2, 5), (7, 1)])
def test_every_sequence_and_every_prefix(vocab_size, length):
  sequences = all_sequences(vocab_size, length)
  wanted = list(itertools.product(range(vocab_size), repeat=length))
  np.testing.assert_array_equal(sequences, wanted)
  assert sequences.dtype == np.int32
  rows = prefix_rows(sequences, vocab_size)
  seen = {}
  for sequence, met in zip(wanted, rows, strict=True):
    for t, row in enumerate(met):
      assert seen.setdefault(row, sequence[:t]) == sequence[:t]
  assert sorted(seen) == list(range(num_prefixes(vocab_size, length)))
  assert len(set(seen.values())) == len(seen)


def test_a_table_is_a_policy():
  """Its probabilities sum to 1, and to those of their prefixes: chances multiply."""
  table = jnp.float32(np.random.default_rng(0).standard_normal((num_prefixes(4, 4), 4)))
  sequences = all_sequences(4, 4)
  logits = table[prefix_rows(sequences, 4)]
  p = np.exp(sequence_logp(logits, sequences, np.ones(sequences.shape)))
  np.testing.assert_allclose(p.sum(), 1.0, rtol=1e-5)
  first = np.asarray(jax.nn.softmax(table[0]))
  np.testing.assert_allclose(p.reshape(4, -1).sum(axis=1), first, rtol=1e-5)
  second = np.asarray(jax.nn.softmax(table[3]))  # after a 2
  np.testing.assert_allclose(
    p.reshape(4, 4, -1).sum(axis=2)[2], first[2] * second, rtol=1e-5
  )


def test_the_optimum_is_the_greatest():
  with jax.enable_x64(True):
    random = np.random.default_rng(0)
    ref_logp = jax.nn.log_softmax(jnp.asarray(random.standard_normal(81)))
    reward, beta = jnp.asarray(random.standard_normal(81)), 0.3

    def value(logits):
      logp = jax.nn.log_softmax(logits)
      return expectation(logp, reward) - beta * categorical_kl(logp, ref_logp)

    best = optimal_logp(ref_logp, reward, beta=beta)
    np.testing.assert_allclose(np.exp(best).sum(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(jax.grad(value)(best), 0 * best, atol=1e-14)
    log_z = np.log(np.sum(np.exp(ref_logp + reward / beta)))
    np.testing.assert_allclose(value(best), beta * log_z, rtol=1e-12)
    for scale in (0.01, 0.1, 1.0):
      assert value(best + scale * random.standard_normal(81)) < value(best)


def test_preferences_are_probabilities():
  random = np.random.default_rng(0)
  reward = jnp.float32(random.standard_normal(9))
  logp = jax.nn.log_softmax(jnp.float32(random.standard_normal(9)))
  p = preferences(reward)
  np.testing.assert_allclose(p + p.T, 1.0, rtol=1e-6)
  odds = np.exp(reward[2] - reward[5])
  np.testing.assert_allclose(p[2, 5], odds / (1 + odds), rtol=1e-5)
  wins = preferred(p, logp)
  np.testing.assert_allclose(expectation(logp, wins), 0.5, rtol=1e-5)
  np.testing.assert_array_equal(np.argsort(wins), np.argsort(reward))


def test_wrong_shapes_are_refused():
  with pytest.raises(AssertionError):
    expectation(jnp.zeros(3), jnp.zeros((3, 1)))
  with pytest.raises(AssertionError):
    optimal_logp(jnp.zeros(3), jnp.zeros(4), beta=1.0)
