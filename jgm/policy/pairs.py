"""Pairs of completions of one prompt, and which of them a noisy judge prefers."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange

from jgm.core.state import Array, PyTree
from jgm.policy.rollout import Rollout
from jgm.policy.task import Task


class Pairs(NamedTuple):
  """Two completions of each of B prompts."""

  chosen: Rollout  # leaves [B, ...]
  rejected: Rollout
  chosen_reward: Array  # [B], the judge's
  rejected_reward: Array

  @property
  def accuracy_ceiling(self) -> Array:
    """How often a model that knows the judge's reward is right of such a pair: [B].

    That is the probability that the better one is chosen; no model's is higher.
    """
    return jax.nn.sigmoid(jnp.abs(self.chosen_reward - self.rejected_reward))


def make_pairs(task: Task) -> Callable[[PyTree, PyTree, Array, Array], Pairs]:
  """(params, extra, windows [B, T + 1], key) -> Pairs of completions by `params`.

  Which one is chosen is drawn: the first with probability sigmoid(its reward less the
  other's), as Bradley and Terry have it.

  Args:
    task: whose reward is the judge's; its scale says how often the better one is
      chosen.

  Returns:
    The function. Property: of two completions of equal reward each is chosen half of
    the time.

  Reference: Bradley & Terry 1952, eq. 1. https://doi.org/10.2307/2334029
  """

  def pairs(params: PyTree, extra: PyTree, windows: Array, key: Array) -> Pairs:
    key_act, key_judge = jax.random.split(key)
    both = task.policy.act(params, task.prompts(windows, copies=2), key_act)
    first, second = halves((both, task.reward(extra, both)))
    probability = jax.nn.sigmoid(first[1] - second[1])
    prefers_first = jax.random.bernoulli(key_judge, probability)
    chosen, chosen_reward = where(prefers_first, first, second)
    rejected, rejected_reward = where(prefers_first, second, first)
    return Pairs(chosen, rejected, chosen_reward, rejected_reward)

  return pairs


def halves(tree: PyTree) -> tuple[PyTree, PyTree]:
  """Of leaves [2 B, ...], two for each prompt: the first ones, and the second ones."""
  split = jax.tree.map(lambda x: rearrange(x, "(b n) ... -> n b ...", n=2), tree)
  first, second = (jax.tree.map(lambda x, i=i: x[i], split) for i in range(2))
  return first, second


def where(condition: Array, x: PyTree, y: PyTree) -> PyTree:
  """Of each row [B, ...] x's, or y's where the condition [B] does not hold."""

  def rows(a: Array, b: Array) -> Array:
    of_row = jnp.expand_dims(condition, tuple(range(1, a.ndim)))
    return jnp.where(of_row, a, b)

  return jax.tree.map(rows, x, y)
