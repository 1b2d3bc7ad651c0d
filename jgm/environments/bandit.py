"""A bandit with K arms, each a Gaussian of known mean: all of its theory is a sum.

A policy is the softmax of K logits, pi = softmax(theta). The estimate of its gradient
by one pull of arm a with reward r, less a baseline b, is

    g = (r - b) grad log pi(a),  grad_theta log pi(a) = e_a - pi

Whatever b is, E g is the gradient of the expected reward J(theta); how far g is from it
is decided by b. With s_a = ||e_a - pi||^2, the trace of g's covariance is

    Var g = sum_a pi_a s_a ((mean_a - b)^2 + scale^2) - ||grad J||^2

and least for b = sum_a pi_a s_a mean_a / sum_a pi_a s_a.

References: Williams 1992; Sutton & Barto 2018, section 2.8; Greensmith et al. 2004, for
the optimal baseline.
https://doi.org/10.1007/BF00992696 http://incompleteideas.net/book/the-book.html
https://www.jmlr.org/papers/v5/greensmith04a.html
"""

import chex
import jax
import jax.numpy as jnp

Array = jax.Array


def pull(key: Array, means: Array, arms: Array, *, scale: float) -> Array:
  """Rewards of arms, r ~ N(mean of the arm, scale^2).

  Args:
    key: typed key [].
    means: [K] float, the expected reward of each arm.
    arms: [B] int32.
    scale: the standard deviation of all arms.

  Returns:
    [B] float.
  """
  chex.assert_rank([means, arms], 1)
  return means[arms] + scale * jax.random.normal(key, arms.shape)


def expected_reward(logits: Array, means: Array) -> Array:
  """J = sum_a pi_a mean_a.

  Args:
    logits: [K] float, of the policy.
    means: [K] float, of the arms.

  Returns:
    [] float, at most the mean of the best arm. Property: its gradient by the logits is
    the mean of the estimate g, enumerated over arms.
  """
  chex.assert_equal_shape([logits, means])
  return jnp.sum(jax.nn.softmax(logits) * means)


def exact_gradient(logits: Array, means: Array) -> Array:
  """grad J = pi (means - J), by the logits.

  Args:
    logits: [K] float.
    means: [K] float.

  Returns:
    [K] float, which sums to 0. Property: equal to what autodiff makes of
    `expected_reward`.

  Reference: Sutton & Barto 2018, section 2.8.
  """
  chex.assert_equal_shape([logits, means])
  return jax.nn.softmax(logits) * (means - expected_reward(logits, means))


def optimal_baseline(logits: Array, means: Array) -> Array:
  """The baseline of which the estimate has least variance.

  Args:
    logits: [K] float.
    means: [K] float.

  Returns:
    [] float, between the least and the greatest mean; the expected reward, if the
    policy is uniform. Property: the derivative of `gradient_variance` is 0 there.

  Reference: Greensmith et al. 2004.
  """
  chex.assert_equal_shape([logits, means])
  weights = jax.nn.softmax(logits) * squared_scores(logits)
  return jnp.sum(weights * means) / jnp.sum(weights)


def gradient_variance(
  logits: Array, means: Array, baseline: Array | float, *, scale: float
) -> Array:
  """Var g, the trace of the covariance of the estimate by one pull.

  Args:
    logits: [K] float.
    means: [K] float.
    baseline: [] float.
    scale: the standard deviation of the rewards of an arm.

  Returns:
    [] float >= 0; of the mean over B pulls it is 1 / B of that. Property: that of the
    estimates themselves, enumerated over arms; it exceeds its least by (b - b*)^2
    sum_a pi_a s_a.

  Reference: Greensmith et al. 2004.
  """
  pi = jax.nn.softmax(logits)
  second_moment = jnp.square(means - baseline) + scale**2
  square = jnp.sum(jnp.square(exact_gradient(logits, means)))
  return jnp.sum(pi * squared_scores(logits) * second_moment) - square


def squared_scores(logits: Array) -> Array:
  """||grad log pi(a)||^2 of each arm: 1 - 2 pi_a + ||pi||^2, of [K] logits."""
  pi = jax.nn.softmax(logits)
  return 1 - 2 * pi + jnp.sum(jnp.square(pi))
