"""What a policy is taught by: its completions, their rewards, how far it has gone."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jgm.core.state import Array, TrainState
from jgm.losses.kl import k3
from jgm.losses.masked import last_real
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
    at_end = jnp.where(last_real(self.rollout.mask), self.reward[:, None], 0.0)
    return at_end - beta * self.token_kl

  def metrics(self) -> dict[str, Array]:
    """Means over the batch."""
    length = jnp.sum(self.rollout.mask, axis=1)
    # k3 is never negative, and its sum over tokens has the same mean as k1's.
    kl = jnp.sum(k3(self.token_kl, jnp.zeros_like(self.token_kl)), axis=1)
    means = {"reward": self.reward, "kl_nats": kl, "length": length}
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
