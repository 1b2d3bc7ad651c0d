"""Means over the tokens that count.

A mask is 1 (True) where an entry of a padded batch is real and 0 where it is not; what
lies where it is 0 is never read: not its value, not its gradient, not if it is NaN.
"""

import chex
import jax
import jax.numpy as jnp

Array = jax.Array


def masked_sum(values: Array, mask: Array) -> Array:
  """The sum of each row over its real entries.

  Args:
    values: [B, T] float.
    mask: [B, T] float or bool, at least 0; a weight where it is neither 0 nor 1.

  Returns:
    [B] float. Property: 0, with a gradient of 0, for a row without real entries.
  """
  chex.assert_rank(values, 2)
  chex.assert_equal_shape([values, mask])
  # not a product: 0 * NaN is NaN
  return jnp.sum(jnp.where(mask > 0, values, 0.0) * mask, axis=1)


def masked_mean(values: Array, mask: Array) -> Array:
  """The mean over all real entries of a batch: each counts the same, in any row.

  Under pmap each replica takes the mean over its own rows, and the mean of those is
  this one only where all replicas have as many real entries.

  Args:
    values: [B, T] float.
    mask: [B, T] float or bool, as `masked_sum` has it.

  Returns:
    [] float. Property: of rows of different length it is the mean of their entries laid
    end to end; 0, with a gradient of 0, where no entry is real.
  """
  count = jnp.sum(mask, dtype=jnp.float32)
  total = jnp.sum(masked_sum(values, mask))
  return total / jnp.where(count > 0, count, 1.0)


def last_real(mask: Array) -> Array:
  """Where the last real entry of each row is: bool [B, T], nowhere if there is none."""
  real = mask > 0
  from_here_on = jnp.flip(jnp.cumsum(jnp.flip(real, axis=1), axis=1), axis=1)
  return real & (from_here_on == 1)
