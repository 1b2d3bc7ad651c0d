"""Divergences of policies, against rlax's arrays and sums over all sequences."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.eval.enumeration import all_sequences, expectation, num_prefixes, prefix_rows
from jgm.losses.kl import categorical_kl, entropy, k1, k2, k3
from jgm.losses.preference import sequence_logp

REFERENCE = pathlib.Path(__file__).parents[1] / "references" / "rlax_policy.npz"
SEQUENCES = all_sequences(4, 4)
ROWS = prefix_rows(SEQUENCES, 4)
EVERY = pytest.mark.parametrize("estimator", [k1, k2, k3])


def policy(table):
  """log pi of all sequences, from the logits of every prefix."""
  return sequence_logp(table[ROWS], SEQUENCES, np.ones(SEQUENCES.shape))


@pytest.fixture
def tables():
  """Two policies of 256 sequences, in float64."""
  random = np.random.default_rng(0)
  with jax.enable_x64(True):
    yield jnp.asarray(random.standard_normal((2, num_prefixes(4, 4), 4)))


def test_the_exact_ones_are_rlax_s():
  with jax.enable_x64(True):
    rlax = {name: jnp.asarray(value) for name, value in np.load(REFERENCE).items()}
    logits, others = rlax["logits"], rlax["other_logits"]
    np.testing.assert_allclose(entropy(logits), rlax["entropy"], rtol=1e-12)
    np.testing.assert_allclose(categorical_kl(logits, others), rlax["kl"], rtol=1e-12)
    for name, function in (
      ("entropy", entropy),
      ("kl", lambda p: categorical_kl(p, others)),
    ):
      slope = jax.grad(lambda p, f=function: jnp.sum(f(p)))(logits)
      np.testing.assert_allclose(slope, rlax[f"{name}/gradient"], atol=1e-12)


def test_means_of_the_estimators(tables):
  logp, ref_logp = policy(tables[0]), policy(tables[1])
  mean = lambda estimator: expectation(logp, estimator(logp, ref_logp))
  exact = categorical_kl(logp, ref_logp)
  p, q = np.exp(logp), np.exp(ref_logp)
  np.testing.assert_allclose(exact, np.sum(p * np.log(p / q)), rtol=1e-12)
  np.testing.assert_allclose(mean(k1), exact, rtol=1e-12)
  np.testing.assert_allclose(mean(k3), exact, rtol=1e-12)
  half_moment = np.sum(p * np.log(q / p) ** 2) / 2
  np.testing.assert_allclose(mean(k2), half_moment, rtol=1e-12)
  assert abs(half_moment - exact) > 0.1  # it is biased indeed


def test_gradients_of_the_estimators(tables):
  """The samples held fixed: k1 has none, k2 is KL's, k3 that of the other KL."""
  table, ref_logp = tables[0], policy(tables[1])
  p = jax.lax.stop_gradient(policy(table))
  slope = lambda f: jax.jit(jax.grad(lambda table: f(policy(table))))(table)
  actual = {
    f.__name__: slope(lambda logp, f=f: expectation(p, f(logp, ref_logp)))
    for f in (k1, k2, k3)
  }
  np.testing.assert_allclose(actual["k1"], 0 * table, atol=1e-12)
  forward = slope(lambda logp: categorical_kl(logp, ref_logp))
  np.testing.assert_allclose(actual["k2"], forward, atol=1e-12)
  other = slope(lambda logp: categorical_kl(ref_logp, logp))
  np.testing.assert_allclose(actual["k3"], other, atol=1e-12)
  assert np.max(np.abs(forward - other)) > 0.01


@EVERY
def test_extreme_log_probabilities_are_finite(estimator):
  logp = jnp.array([0.0, -200.0, -30.0, -100.0])
  ref_logp = jnp.array([-200.0, 0.0, 0.0, -100.0])
  total = lambda *logps: jnp.sum(estimator(*logps))
  values = estimator(logp, ref_logp)
  slopes = jax.grad(total, argnums=(0, 1))(logp, ref_logp)
  assert np.isfinite(values).all() and np.isfinite(slopes).all()
  if estimator is not k1:  # it still pulls towards the reference
    assert np.all(np.asarray(slopes[0] * (logp - ref_logp)) >= 0)
    assert np.all(values >= 0)


def test_k3_of_policies_that_are_near_is_not_rounding():
  logp = jnp.array([-3.0])
  actual = k3(logp, logp + 2.0**-10)
  np.testing.assert_allclose(actual, 2.0**-21, rtol=1e-3)


@pytest.mark.parametrize("function", [entropy, lambda x: categorical_kl(x, -x)])
def test_extreme_logits_are_finite(function):
  logits = jnp.array([[100.0, -100.0, 0.0], [-100.0, -100.0, 100.0], [0.0, 0.0, 0.0]])
  values, slope = jax.value_and_grad(lambda x: jnp.sum(function(x)))(logits)
  assert np.isfinite(values) and np.isfinite(slope).all()


def test_what_is_excluded_counts_for_nothing():
  logits = jnp.array([0.3, -jnp.inf, 1.2, -0.5])
  others = jnp.array([0.1, -jnp.inf, 0.4, 0.9])
  kept = jnp.array([0, 2, 3])
  np.testing.assert_allclose(entropy(logits), entropy(logits[kept]), rtol=1e-6)
  for other in (others, others.at[1].set(0.0)):
    value, slope = jax.value_and_grad(categorical_kl)(logits, other)
    assert np.isfinite(value) and np.isfinite(slope).all()
  exact = categorical_kl(logits[kept], others[kept])
  np.testing.assert_allclose(categorical_kl(logits, others), exact, rtol=1e-6)
  assert categorical_kl(jnp.zeros(4), others) == jnp.inf
  assert np.isfinite(jax.grad(entropy)(logits)).all()


def test_wrong_shapes_are_refused():
  for function in (k1, k2, k3, categorical_kl):
    with pytest.raises(AssertionError):
      function(jnp.zeros((3, 2)), jnp.zeros((3, 1)))
