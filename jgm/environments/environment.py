"""Environments as pure functions, many of them at once, and experience of them.

An episode ends in one of two ways. It terminates: nothing follows, and its return is
complete. Or it is truncated, by a time limit: it would have gone on, and the value of
the observation that it came to stands for the rest.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange

Array = jax.Array
PyTree = Any
Policy = Callable[[Array, Array], Array]  # (observations [B, ...], key) -> actions [B]


class Environment(NamedTuple):
  """One environment; what it does depends on its state and the action alone.

  One with noise of its own keeps a key in its state.
  """

  reset: Callable[[Array], PyTree]  # key -> state
  # (state, action []) -> (state, reward [] float, terminated [] bool)
  step: Callable[[PyTree, Array], tuple[PyTree, Array, Array]]
  observe: Callable[[PyTree], Array]  # state -> observation [...]
  num_actions: int
  observation_size: int
  time_limit: int  # in steps; an episode of so many is truncated


class Episodes(NamedTuple):
  """B episodes that are under way."""

  state: PyTree  # leaves [B, ...]
  num_steps: Array  # [B] int32, taken so far
  total_reward: Array  # [B] float, so far


class Transition(NamedTuple):
  """A step of each episode; leaves [B, ...], or [B, T, ...] of T steps."""

  observation: Array  # the one that was acted upon
  action: Array
  reward: Array
  next_observation: Array  # the one it led to, also where the episode ended with it
  terminated: Array  # bool; nothing follows
  truncated: Array  # bool; the time limit, where it has not terminated
  num_steps: Array  # int32, of the episode up to and with this step
  total_reward: Array  # of the episode up to and with this step

  @property
  def ended(self) -> Array:
    """Whether another episode begins after this step, bool."""
    return self.terminated | self.truncated


def begin(environment: Environment, key: Array, n: int) -> Episodes:
  """n episodes at their start.

  Args:
    environment: what they are of.
    key: typed key [].
    n: how many, B.

  Returns:
    Episodes of 0 steps.
  """
  state = jax.vmap(environment.reset)(jax.random.split(key, n))
  return Episodes(state, jnp.zeros(n, jnp.int32), jnp.zeros(n))


def advance(
  environment: Environment, episodes: Episodes, action: Array, key: Array
) -> tuple[Episodes, Transition]:
  """One step of each episode; one that ended is replaced by a new one.

  Args:
    environment: what they are of.
    episodes: B of them.
    action: [B] int32.
    key: typed key [], for the starts of new episodes.

  Returns:
    The episodes that are under way now, and the Transition, which still knows where the
    ended ones came to. Property: without an end, the key changes nothing.
  """
  observe = jax.vmap(environment.observe)
  state, reward, terminated = jax.vmap(environment.step)(episodes.state, action)
  num_steps = episodes.num_steps + 1
  total_reward = episodes.total_reward + reward
  transition = Transition(
    observation=observe(episodes.state),
    action=action,
    reward=reward,
    next_observation=observe(state),
    terminated=terminated,
    truncated=~terminated & (num_steps >= environment.time_limit),
    num_steps=num_steps,
    total_reward=total_reward,
  )
  going_on = Episodes(state, num_steps, total_reward)
  new = begin(environment, key, len(action))
  select = lambda ended, a, b: jax.tree.map(lambda x, y: jnp.where(ended, x, y), a, b)
  return jax.vmap(select)(transition.ended, new, going_on), transition


def rollout(
  environment: Environment,
  policy: Policy,
  episodes: Episodes,
  key: Array,
  num_steps: int,
) -> tuple[Episodes, Transition]:
  """T steps of each of B episodes by a policy, new ones in the place of ended ones.

  Args:
    environment: what they are of.
    policy: (observations [B, ...], key) -> actions [B].
    episodes: B of them, where the last rollout left them.
    key: typed key [].
    num_steps: T.

  Returns:
    The episodes after it, and all transitions with leaves [B, T, ...]. Property: two
    rollouts, each from where the one before ended, are as one of their length, where
    the policy is deterministic and nothing ends.
  """

  def step(episodes: Episodes, index: Array) -> tuple[Episodes, Transition]:
    key_action, key_reset = jax.random.split(jax.random.fold_in(key, index))
    action = policy(jax.vmap(environment.observe)(episodes.state), key_action)
    return advance(environment, episodes, action, key_reset)

  episodes, transitions = jax.lax.scan(step, episodes, jnp.arange(num_steps))
  by_episode = lambda leaf: rearrange(leaf, "t b ... -> b t ...")
  return episodes, jax.tree.map(by_episode, transitions)


def play(
  environment: Environment, policy: Policy, key: Array, n: int
) -> tuple[Transition, Array]:
  """n episodes of a policy from start to end.

  Args:
    environment: what they are of.
    policy: (observations [n, ...], key) -> actions [n].
    key: typed key [].
    n: how many.

  Returns:
    Transitions with leaves [n, time_limit, ...], and a mask [n, time_limit] bool: True
    up to and with the step by which the first episode of each row ended. Property: the
    masked sum of rewards is the return, with nothing left out.
  """
  key_begin, key_rollout = jax.random.split(key)
  episodes = begin(environment, key_begin, n)
  limit = environment.time_limit
  _, transitions = rollout(environment, policy, episodes, key_rollout, limit)
  ended = transitions.ended.astype(jnp.int32)
  ends_before = jnp.cumsum(ended, axis=1) - ended
  return transitions, ends_before == 0


def held_after_end(transitions: Transition, mask: Array) -> Array:
  """Where each step of an episode led to, and its last observation ever after.

  Args:
    transitions: of `play`, leaves [n, T, ...].
    mask: of `play`, [n, T] bool.

  Returns:
    [n, T, ...] observations.
  """
  last = jnp.sum(mask, axis=1, dtype=jnp.int32, keepdims=True) - 1
  times = jnp.minimum(jnp.arange(mask.shape[1])[None], last)
  return jax.vmap(lambda rows, time: rows[time])(transitions.next_observation, times)
