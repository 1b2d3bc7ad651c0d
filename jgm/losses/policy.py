"""Losses of policies, element by element: an action, a token or a whole sequence.

To be minimised, their mean taken over what the behaviour policy did. `logp` is the
log-probability, in nats, of what was done under the policy that is differentiated;
`old_logp` that under the policy that did it. Advantages are positive for what was
better than expected; no gradient goes into them, nor into `old_logp`.
"""

import chex
import jax
import jax.numpy as jnp

from jgm.losses.ratio import probability_ratio

Array = jax.Array


def policy_gradient_loss(logp: Array, advantages: Array) -> Array:
  """-A log pi: REINFORCE, with a baseline where A is the return less one.

  Args:
    logp: [...] float.
    advantages: [...] float.

  Returns:
    [...] float; only its gradient means something. Property: in expectation that is
    minus the gradient of the expected reward, whatever the baseline of the state.

  Reference: Williams 1992, section 4. https://doi.org/10.1007/BF00992696
  """
  chex.assert_equal_shape([logp, advantages])
  return -jax.lax.stop_gradient(advantages) * logp


def surrogate_loss(logp: Array, old_logp: Array, advantages: Array) -> Array:
  """-A pi / pi_old: importance sampling, for steps that leave pi_old behind.

  Args:
    logp: [...] float.
    old_logp: [...] float.
    advantages: [...] float.

  Returns:
    [...] float. Property: under pi_old its mean is minus the mean of A under pi; at
    pi = pi_old its gradient is `policy_gradient_loss`'s.

  Reference: Schulman et al. 2015, eq. 14. https://arxiv.org/abs/1502.05477
  """
  ratio = _ratio(logp, old_logp, advantages)
  return -jax.lax.stop_gradient(advantages) * ratio


def ppo_policy_loss(
  logp: Array, old_logp: Array, advantages: Array, *, clip: float = 0.2
) -> Array:
  """-min(A ratio, A clip(ratio, 1 - clip, 1 + clip)), with ratio = pi / pi_old.

  Args:
    logp: [...] float.
    old_logp: [...] float.
    advantages: [...] float.
    clip: how far the ratio may go before there is nothing more to gain from it.

  Returns:
    [...] float, at least `surrogate_loss`. Property: equal to it, gradient included, at
    pi = pi_old; no gradient where the ratio has gone beyond the clip in the direction
    of the advantage.

  Reference: Schulman et al. 2017, eq. 7. https://arxiv.org/abs/1707.06347
  """
  ratio = _ratio(logp, old_logp, advantages)
  advantages = jax.lax.stop_gradient(advantages)
  clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
  return -jnp.minimum(ratio * advantages, clipped * advantages)


def ppo_value_loss(
  values: Array, old_values: Array, returns: Array, *, clip: float = 0.2
) -> Array:
  """max((V - R)^2, (V_clipped - R)^2) / 2: the value moves at most `clip` at a time.

  Args:
    values: [...] float. Of the value function that is differentiated.
    old_values: [...] float. Of the one at the time of the rollout.
    returns: [...] float. What V is fitted to, the lambda-returns; no gradient.
    clip: how far V may go from the old one, in units of the return.

  Returns:
    [...] float >= (V - R)^2 / 2. Property: equal to that within the clip; no gradient
    where V has gone beyond it towards R.

  Reference: Engstrom et al. 2020, section 3. https://arxiv.org/abs/2005.12729
  """
  chex.assert_equal_shape([values, old_values, returns])
  old_values, returns = jax.lax.stop_gradient((old_values, returns))
  clipped = old_values + jnp.clip(values - old_values, -clip, clip)
  return 0.5 * jnp.maximum(jnp.square(values - returns), jnp.square(clipped - returns))


def _ratio(logp: Array, old_logp: Array, advantages: Array) -> Array:
  chex.assert_equal_shape([logp, old_logp, advantages])
  return probability_ratio(logp, jax.lax.stop_gradient(old_logp))
