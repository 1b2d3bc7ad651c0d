"""Means over real entries: what is padded does not exist."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.losses.masked import masked_mean, masked_sum

MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]])
VALUES = np.random.default_rng(0).standard_normal(MASK.shape).astype(np.float32)
POISONED = np.where(MASK, VALUES, np.nan)


@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_only_real_entries_count(dtype):
  mask = MASK.astype(dtype)
  real = VALUES[MASK > 0]
  np.testing.assert_allclose(masked_mean(POISONED, mask), real.mean(), rtol=1e-6)
  np.testing.assert_allclose(
    masked_sum(POISONED, mask), [real[:2].sum(), real[2:].sum(), 0.0], rtol=1e-6
  )
  slope = jax.jit(jax.grad(masked_mean))(POISONED, mask)
  np.testing.assert_allclose(slope, MASK / 5, rtol=1e-6)


def test_no_real_entry_at_all():
  value, slope = jax.value_and_grad(masked_mean)(POISONED, jnp.zeros_like(POISONED))
  assert value == 0 and not slope.any()


def test_weights_are_weights():
  weights = np.random.default_rng(1).uniform(0.01, 0.05, MASK.shape).astype(np.float32)
  wanted = np.average(VALUES, weights=weights)
  np.testing.assert_allclose(masked_mean(VALUES, weights), wanted, rtol=1e-6)


def test_wrong_shapes_are_refused():
  with pytest.raises(AssertionError):
    masked_mean(jnp.ones((2, 3)), jnp.ones((2, 1)))
  with pytest.raises(AssertionError):
    masked_sum(jnp.ones(3), jnp.ones(3))
