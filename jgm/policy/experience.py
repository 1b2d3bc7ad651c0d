"""What a policy is taught by: its completions, their rewards, how far it has gone."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jgm.core.collectives import pmean
from jgm.core.state import Array, TrainState
from jgm.losses.masked import masked_mean
from jgm.policy.rollout import Rollout, token_logp
from jgm.policy.task import Task


class Experience(NamedTuple):
  """Completions by the policy as it is, each with its reward."""

  rollout: Rollout  # leaves [B, ...]
  reward: Array  # float32 [B], of the whole completion
  token_kl: Array  # float32 [B, N]: log pi - log ref of each token, 0 behind the end

  @property
  def kl(self) -> Array:
    """log pi - log ref of completions, [B]: its mean is KL(pi || ref), in nats."""
    return jnp.sum(self.token_kl, axis=1)

  def returns(self, beta: float) -> Array:
    """[B]: what is to be maximised, the reward less beta times the KL's sample.

    In expectation the policy gradient of these is that of E[reward] - beta KL(pi ||
    ref): the gradient of log pi inside of them has mean zero.
    """
    return self.reward - beta * self.kl

  def token_rewards(self, beta: float) -> Array:
    """[B, N]: the same, earned where it arises: the reward with the last token."""
    at_end = last_real(self.rollout.mask) * jnp.expand_dims(self.reward, 1)
    return at_end - beta * self.token_kl

  def metrics(self) -> dict[str, Array]:
    """Means over the batch."""
    length = jnp.sum(self.rollout.mask, axis=1)
    means = {"reward": self.reward, "kl_nats": self.kl, "length": length}
    return {name: jnp.mean(values) for name, values in means.items()}


def make_experience(
  task: Task,
) -> Callable[[TrainState, Array, Array], Experience]:
  """(state, windows [B, T + 1], key) -> Experience, by `state.params["policy"]`.

  Args:
    task: what the policy does; its reference is `state.extra.reference`.

  Returns:
    The function. Property: at the start, when the policy is the reference, kl is 0 but
    for rounding.
  """
  policy = task.policy

  def experience(state: TrainState, windows: Array, key: Array) -> Experience:
    rollout = policy.act(state.params["policy"], task.prompts(windows), key)
    logits = policy.logits(state.extra.reference, rollout)
    token_kl = (rollout.logp - token_logp(logits, rollout)) * rollout.mask
    return Experience(rollout, task.reward(state.extra, rollout), token_kl)

  return experience


def last_real(mask: Array) -> Array:
  """1 on the last real token of each row of a mask [B, N], else 0."""
  following = jnp.pad(mask[:, 1:], ((0, 0), (0, 1)))
  return mask * (1 - following)


def leave_one_out(returns: Array) -> Array:
  """Each return less the mean of all others: a baseline that takes no bias in.

  Args:
    returns: [B] float, independent of each other, B at least 2.

  Returns:
    [B] float. Property: the policy gradient has the mean that it has by `returns`, and
    in general less variance.

  Reference: Kool, van Hoof & Welling 2019, eq. 5.
    https://openreview.net/forum?id=r1lgTGL5DE
  """
  n = len(returns)
  return (returns - jnp.mean(returns)) * (n / (n - 1))


def standardised(advantages: Array, mask: Array) -> Array:
  """Advantages with mean 0 and standard deviation 1 over the batch's real tokens.

  Args:
    advantages: [B, N] float.
    mask: [B, N] float.

  Returns:
    [B, N] float; the same scale on all replicas. Property: changing the rewards' unit
    changes nothing.

  Reference: Engstrom et al. 2020, section 2 (what PPO's code does beside the paper).
    https://arxiv.org/abs/2005.12729
  """
  centred = advantages - pmean(masked_mean(advantages, mask))
  variance = pmean(masked_mean(jnp.square(centred), mask))
  return centred / jnp.sqrt(variance + 1e-8)
