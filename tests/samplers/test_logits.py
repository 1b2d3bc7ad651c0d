"""Transformations of logits, against their definitions and transformers.

The arrays are remade by tests/references/transformers_gpt2.py.
"""

import itertools
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.samplers.logits import (
  chain,
  greedy,
  identity,
  make_transform,
  min_p,
  temperature,
  top_k,
  top_p,
)

REFERENCE = pathlib.Path(__file__).parents[1] / "references" / "transformers_gpt2.npz"
LIKE_TRANSFORMERS = {
  "temperature": temperature(0.7),
  "top_k": top_k(5),
  "top_p": top_p(0.8),
  "min_p": min_p(0.1),
}
ALL = LIKE_TRANSFORMERS | {
  "identity": identity,
  "greedy": greedy,
  "chain": chain(temperature(0.5), top_k(4), top_p(0.9), min_p(0.05)),
}
EVERY = pytest.mark.parametrize("name", ALL)


def kept(transform, logits):
  return set(np.flatnonzero(np.isfinite(transform(jnp.float32(logits)))).tolist())


@pytest.mark.parametrize("name", LIKE_TRANSFORMERS)
def test_they_are_those_of_transformers(name):
  with np.load(REFERENCE) as file:
    logits, wanted = file["warped/logits"], file[f"warped/{name}"]
  actual = jax.jit(ALL[name])(jnp.asarray(logits))
  assert 0 < np.isfinite(wanted).sum() <= wanted.size
  np.testing.assert_allclose(actual, wanted, rtol=1e-6)


def test_top_p_is_the_smallest_set_that_reaches_p():
  """By trying all sets; ties and exact sums at p included, as binary fractions."""
  probabilities = np.array([1, 4, 2, 4, 1, 2, 2]) / 16
  order = np.argsort(-probabilities, kind="stable")
  for p in (1e-6, 0.2, 4 / 16, 5 / 16, 8 / 16, 0.6, 14 / 16, 0.9, 1.0):
    sizes = [
      len(chosen)
      for n in range(1, 8)
      for chosen in itertools.combinations(probabilities, n)
      if sum(chosen) >= p
    ]
    wanted = set(order[: min(sizes)].tolist())
    assert kept(top_p(p), np.log(probabilities)) == wanted, p


def test_ties():
  """Of equal tokens the first stay, where only some can."""
  equal = np.zeros(5)
  assert kept(top_k(3), equal) == {0, 1, 2}
  assert kept(top_p(0.5), equal) == {0, 1, 2}
  assert kept(min_p(1.0), equal) == {0, 1, 2, 3, 4}
  assert kept(greedy, [1.0, 3.0, 3.0]) == {1}
  assert kept(top_k(2), [0.0, 5.0, 5.0, 5.0]) == {1, 2}


def test_min_p_compares_with_the_most_probable():
  probabilities = np.array([0.5, 0.26, 0.2, 0.04])
  for p, wanted in ((0.0, 4), (0.07, 4), (0.09, 3), (0.41, 2), (0.53, 1), (1.0, 1)):
    assert kept(min_p(p), np.log(probabilities)) == set(range(wanted))


def test_none_is_excluded_where_none_should_be():
  logits = jnp.linspace(-30.0, 0.0, 50)
  for transform in (identity, chain(), temperature(1), top_k(50), top_k(99), top_p(1)):
    np.testing.assert_array_equal(transform(logits), logits)


def test_temperature_is_a_power_of_the_probabilities():
  probabilities = np.array([0.5, 0.3, 0.2])
  actual = jax.nn.softmax(temperature(0.25)(jnp.log(probabilities)))
  np.testing.assert_allclose(actual, probabilities**4 / np.sum(probabilities**4), 1e-5)
  assert temperature(0) is greedy


def test_a_chain_is_in_order():
  """Flattened first, more tokens are needed for the same probability."""
  logits = np.log([0.7, 0.2, 0.1])
  assert kept(chain(temperature(4.0), top_p(0.6)), logits) == {0, 1}
  assert kept(chain(top_p(0.6), temperature(4.0)), logits) == {0}
  # what one excludes, the next does not bring back, and it renormalises
  assert kept(chain(top_k(2), top_p(0.9)), np.log([0.4, 0.39, 0.21])) == {0, 1}


def test_a_config_names_what_it_wants(key):
  """In the order temperature, top_k, top_p, min_p; None excludes nothing."""
  logits = 3 * jax.random.normal(key, (20, 8))
  given = {"top_k": 5, "top_p": 0.8, "min_p": 0.2}
  actual = make_transform(temperature=1.5, **given)(logits)
  wanted = chain(temperature(1.5), top_k(5), top_p(0.8), min_p(0.2))(logits)
  np.testing.assert_array_equal(actual, wanted)
  np.testing.assert_array_equal(make_transform()(logits), logits)
  assert make_transform(temperature=0.0, **given) is greedy
  for name, value in {"top_k": 0, "top_p": 0.0, "min_p": 2.0}.items():
    with pytest.raises(ValueError, match=name):
      make_transform(temperature=0.0, **{name: value})


@EVERY
def test_extremes(name):
  """One token at least stays; what stays keeps finite scores and gradients."""
  for logits in ([100.0, -100.0, 0.0, 100.0, -100.0], [-100.0] * 5, [1e4, 0, 0, 0, 0]):
    logits = jnp.float32(logits)
    out = ALL[name](logits)
    best = jnp.argmax(out)
    assert np.isfinite(out[best]) and not np.any(np.isnan(out))
    slope = jax.grad(lambda x, best=best: jax.nn.log_softmax(ALL[name](x))[best])
    assert np.all(np.isfinite(slope(logits)))


@EVERY
def test_leading_axes_and_half_precision(name, key):
  logits = jax.random.normal(key, (2, 3, 8), jnp.bfloat16)
  actual = ALL[name](logits)
  assert actual.dtype == jnp.float32 and actual.shape == logits.shape
  rows = [ALL[name](row) for row in logits.reshape(6, 8)]
  np.testing.assert_array_equal(actual.reshape(6, 8), jnp.stack(rows))


@pytest.mark.parametrize(
  ("make", "value"),
  [
    (temperature, -0.1),
    (temperature, math.inf),
    (temperature, math.nan),
    (top_k, 0),
    (top_p, 0.0),
    (top_p, 1.1),
    (min_p, -0.1),
    (min_p, 1.1),
  ],
)
def test_what_means_nothing_is_refused(make, value):
  with pytest.raises(ValueError, match=f"{make.__name__} .*not {value}"):
    make(value)
