"""Next-token losses, against sums over all sequences and SciPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from jgm.losses.autoregressive import bits_per_byte, cross_entropy, z_loss

B, T, V = 3, 4, 5
RANDOM = np.random.default_rng(0)
LOGITS = 3 * RANDOM.standard_normal((B, T, V)).astype(np.float32)
TARGETS = RANDOM.integers(0, V, (B, T))
MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], np.float32)
LOSSES = {
  "cross_entropy": lambda logits, mask: cross_entropy(logits, TARGETS, mask),
  "z_loss": lambda logits, mask: z_loss(logits, mask),
}
EVERY = pytest.mark.parametrize("name", LOSSES)


def test_cross_entropy_is_minus_log_p():
  logp = log_softmax(LOGITS.astype(np.float64), axis=-1)
  wanted = -np.take_along_axis(logp, TARGETS[..., None], axis=-1)[..., 0]
  np.testing.assert_allclose(cross_entropy(LOGITS, TARGETS), wanted, rtol=1e-5)
  uniform = cross_entropy(jnp.full((B, T, V), 7.0), TARGETS)
  np.testing.assert_allclose(uniform, math.log(V), rtol=1e-6)


def test_z_loss_measures_the_normaliser_alone():
  log_z = logsumexp(LOGITS.astype(np.float64), axis=-1)
  actual = z_loss(LOGITS, coefficient=0.01)
  np.testing.assert_allclose(actual, 0.01 * log_z**2, rtol=1e-5)
  assert np.max(z_loss(jax.nn.log_softmax(LOGITS))) < 1e-15


@EVERY
def test_padding_may_be_anything(name):
  """NaN logits and targets of -100 change no value and no gradient."""
  total = lambda logits, mask: jnp.sum(LOSSES[name](logits, mask) * MASK)
  wanted, slope = jax.value_and_grad(total)(LOGITS, None)
  poisoned = np.where(MASK[..., None] > 0, LOGITS, np.nan)
  actual, slope_poisoned = jax.jit(jax.value_and_grad(total))(poisoned, MASK)
  np.testing.assert_allclose(actual, wanted, rtol=1e-6)
  np.testing.assert_allclose(slope_poisoned, slope, rtol=1e-5, atol=1e-7)
  targets = np.where(MASK > 0, TARGETS, -100)
  np.testing.assert_array_equal(
    cross_entropy(poisoned, targets, MASK > 0),
    np.where(MASK > 0, cross_entropy(LOGITS, TARGETS), 0.0),
  )


@EVERY
def test_extreme_logits_are_finite(name):
  logits = jnp.asarray(100 * np.sign(LOGITS))
  values, slope = jax.value_and_grad(lambda x: jnp.sum(LOSSES[name](x, None)))(logits)
  assert np.isfinite(values) and np.isfinite(slope).all()


def test_what_is_excluded_is_not_there():
  """Logits of -inf, as decoding makes them."""
  excluded = LOGITS.copy()
  excluded[:, :, 0] = -np.inf
  targets = 1 + TARGETS % (V - 1)
  loss = lambda logits, targets: jnp.sum(cross_entropy(logits, targets))
  value, slope = jax.value_and_grad(loss)(excluded, targets)
  np.testing.assert_allclose(value, loss(LOGITS[:, :, 1:], targets - 1), rtol=1e-6)
  assert np.isfinite(slope).all() and not slope[:, :, 0].any()


def test_bits_per_byte():
  """Uniform guesses of bytes; and of tokens that are two bytes each."""
  np.testing.assert_allclose(bits_per_byte(100 * math.log(256), 100), 8.0, rtol=1e-6)
  np.testing.assert_allclose(bits_per_byte(50 * math.log(16), 100), 2.0, rtol=1e-6)


def test_wrong_shapes_are_refused():
  for logits, targets in (
    (jnp.zeros((2, 3, 5)), jnp.zeros((2, 4), int)),
    (jnp.zeros((2, 3)), jnp.zeros(2, int)),
    (jnp.zeros((2, 3, 5)), jnp.zeros((2, 3))),
  ):
    with pytest.raises(AssertionError):
      cross_entropy(logits, targets)
  with pytest.raises(AssertionError):
    cross_entropy(LOGITS, TARGETS, jnp.ones((B, 1)))
