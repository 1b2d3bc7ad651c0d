"""KL(pi || ref) of policies, in nats: exact from logits, or estimated from samples.

The estimators take the log-probabilities of actions drawn from pi. With r = ref / pi:

    name   value          mean under pi            mean of the gradient
    k1     -log r         KL(pi || ref)            0
    k2     (log r)^2 / 2  E (log r)^2 / 2: biased  that of KL(pi || ref)
    k3     r - 1 - log r  KL(pi || ref)            that of KL(ref || pi)

The last column is of their own gradient, the samples held fixed. So to lower
KL(pi || ref) by a loss, take k2; k1 and k3 are to be looked at, or to be subtracted
from rewards, where a policy gradient does the differentiating.

Of a sequence, log-probabilities may be summed over its tokens first (the KL of
sequences), or the estimates of its tokens be added: for k1 that is the same, for the
others not.

Reference: Schulman 2020. http://joschu.net/blog/kl-approx.html
"""

import chex
import jax
import jax.numpy as jnp

from jgm.losses.ratio import LIMIT, probability_ratio

Array = jax.Array


def categorical_kl(logits: Array, other_logits: Array) -> Array:
  """KL(p || q) of two categorical distributions, in nats.

  Args:
    logits: [..., V] float, of p, unnormalised; -inf for what is excluded.
    other_logits: [..., V] float, of q.

  Returns:
    [...] float >= 0, but for rounding. Property: 0 for equal distributions; inf where p
    can do what q cannot.

  Reference: Kullback & Leibler 1951, section 2.
  https://doi.org/10.1214/aoms/1177729694
  """
  chex.assert_equal_shape([logits, other_logits])
  log_p = jax.nn.log_softmax(logits)
  log_ratio = log_p - jax.nn.log_softmax(other_logits)
  p = jnp.exp(log_p)
  return jnp.sum(p * jnp.where(p > 0, log_ratio, 0.0), axis=-1)  # 0 log 0 is 0


def entropy(logits: Array) -> Array:
  """-E log p of a categorical distribution, in nats.

  Args:
    logits: [..., V] float, unnormalised; -inf for what is excluded.

  Returns:
    [...] float >= 0. Property: log V minus the KL from the uniform distribution.

  Reference: Shannon 1948, section 6. https://doi.org/10.1002/j.1538-7305.1948.tb01338.x
  """
  log_p = jax.nn.log_softmax(logits)
  p = jnp.exp(log_p)
  return -jnp.sum(p * jnp.where(p > 0, log_p, 0.0), axis=-1)


def k1(logp: Array, ref_logp: Array) -> Array:
  """-log r per sample: unbiased, but half of the samples may be negative.

  Args:
    logp: [...] float. log pi of actions drawn from pi.
    ref_logp: [...] float. log ref of the same.

  Returns:
    [...] float. Property: its mean under pi is KL(pi || ref).

  Reference: Schulman 2020, k1. http://joschu.net/blog/kl-approx.html
  """
  chex.assert_equal_shape([logp, ref_logp])
  return logp - ref_logp


def k2(logp: Array, ref_logp: Array) -> Array:
  """(log r)^2 / 2 per sample: of little variance, biased to second order.

  Args:
    logp: [...] float. log pi of actions drawn from pi.
    ref_logp: [...] float. log ref of the same.

  Returns:
    [...] float >= 0. Property: its gradient's mean under pi is that of KL(pi || ref).

  Reference: Schulman 2020, k2. http://joschu.net/blog/kl-approx.html
  """
  chex.assert_equal_shape([logp, ref_logp])
  return 0.5 * jnp.square(logp - ref_logp)


def k3(logp: Array, ref_logp: Array) -> Array:
  """r - 1 - log r per sample: unbiased and never negative.

  Args:
    logp: [...] float. log pi of actions drawn from pi.
    ref_logp: [...] float. log ref of the same.

  Returns:
    [...] float >= 0, but for rounding; from log r = 20 on, r follows its tangent
    (`probability_ratio`).
    Property: its mean under pi is KL(pi || ref), its gradient's that of KL(ref || pi).

  Reference: Schulman 2020, k3. http://joschu.net/blog/kl-approx.html
  """
  chex.assert_equal_shape([logp, ref_logp])
  log_ratio = ref_logp - logp
  # expm1, for near 1 the difference would be rounding alone
  excess = jnp.where(
    log_ratio > LIMIT,
    probability_ratio(ref_logp, logp) - 1,
    jnp.expm1(jnp.minimum(log_ratio, LIMIT)),
  )
  return excess - log_ratio
