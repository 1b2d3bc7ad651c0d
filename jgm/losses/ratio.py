"""The ratio of two policies' probabilities of what one of them did."""

import chex
import jax
import jax.numpy as jnp

Array = jax.Array

LIMIT = 20.0  # of the log-ratio: exp(20) is 5e8


def probability_ratio(logp: Array, old_logp: Array) -> Array:
  """exp(logp - old_logp), element by element, finite for any log-probabilities.

  Where the log-ratio is beyond 20, float32 is not far from its end: from there on it
  follows its tangent, so that the gradient stays finite too, and of the right sign.

  Args:
    logp: [...] float. Log-probabilities of the actions under one policy, in nats.
    old_logp: [...] float. The same actions under the other.

  Returns:
    [...] float > 0. Property: 1 for equal policies; under the other policy its mean
    is 1.
  """
  chex.assert_equal_shape([logp, old_logp])
  log_ratio = logp - old_logp
  beyond = jnp.maximum(log_ratio - LIMIT, 0.0)
  return jnp.exp(jnp.minimum(log_ratio, LIMIT)) * (1 + beyond)
