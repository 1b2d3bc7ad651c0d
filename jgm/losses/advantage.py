"""Returns and advantages of streams of experience, time on axis 1.

`rewards[:, t]` is what step t earned; `discounts[:, t]` is what the future is worth
after it: gamma, or 0 where the episode terminated, for nothing follows. An episode that
was cut short instead (a time limit, the end of the rollout) would have gone on: its
discount stays gamma and the value of the state it came to stands for the rest.

In a padded batch give the last real step a discount of 0; the padding then changes
nothing before it.
"""

import chex
import jax
import jax.numpy as jnp

Array = jax.Array


def discounted_returns(rewards: Array, discounts: Array, bootstrap: Array) -> Array:
  """G_t = r_t + discount_t G_t+1: what was earned from each step on.

  Args:
    rewards: [B, T] float.
    discounts: [B, T] float in [0, 1], 0 where the episode terminated.
    bootstrap: [B] float. The value of the state that the last step led to: G_T.

  Returns:
    [B, T] float. Property: the sum of the rewards to come where all discounts are 1 and
    the bootstrap is 0; nothing before a discount of 0 depends on what is after it.

  Reference: Sutton & Barto 2018, eq. 3.9. http://incompleteideas.net/book/the-book.html
  """
  chex.assert_rank([rewards, discounts, bootstrap], [2, 2, 1])
  chex.assert_equal_shape([rewards, discounts])
  return _accumulate(rewards, discounts, bootstrap)


def generalized_advantages(
  rewards: Array,
  discounts: Array,
  values: Array,
  next_values: Array,
  *,
  lambda_: float,
  ends: Array | None = None,
) -> Array:
  """GAE: how much better each step was than the value function had expected.

  A_t = delta_t + discount_t lambda A_t+1, with the errors of the value function
  delta_t = r_t + discount_t V(next state) - V(state).

  Of one stream without cuts, with values of all its T + 1 states, give
  `values[:, :-1], values[:, 1:]`. Where an episode is cut short and the stream goes on
  with another, the state that the step led to is not the one that comes next: give its
  value in `next_values`, and True in `ends`.

  Args:
    rewards: [B, T] float.
    discounts: [B, T] float in [0, 1], 0 where the episode terminated.
    values: [B, T] float. V of the state that each step was taken in.
    next_values: [B, T] float. V of the state that it led to; finite, though not used,
      where the discount is 0.
    lambda_: in [0, 1]. Less of it is less variance and more trust in the values.
    ends: [B, T] bool, True where the next column is another episode's. None: that is
      so only where the discount is 0.

  Returns:
    [B, T] float, without a gradient: a target. Adding `values` gives the lambda-returns
    that a value function is fitted to. Property: lambda 0 gives delta_t; lambda 1 gives
    `discounted_returns` less the values.

  Reference: Schulman et al. 2016, eq. 16. https://arxiv.org/abs/1506.02438
  """
  chex.assert_rank(rewards, 2)
  chex.assert_equal_shape([rewards, discounts, values, next_values])
  deltas = rewards + discounts * next_values - values
  decays = lambda_ * discounts
  if ends is not None:
    chex.assert_equal_shape([rewards, ends])
    decays = jnp.where(ends, 0.0, decays)
  advantages = _accumulate(deltas, decays, jnp.zeros_like(deltas[:, 0]))
  return jax.lax.stop_gradient(advantages)


def _accumulate(increments: Array, decays: Array, last: Array) -> Array:
  """x_t = increment_t + decay_t x_t+1, from x_T = last backwards; [B, T]."""

  def step(later: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
    increment, decay = now
    x = increment + decay * later
    return x, x

  _, x = jax.lax.scan(step, last, (increments.T, decays.T), reverse=True)
  return x.T
