"""`sample` of a policy: completions of held-out prompts, or of one that is given."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgm.core.state import Array, PyTree, TrainState
from jgm.policy.rollout import Rollout
from jgm.policy.task import Task
from jgm.samplers.chunks import in_chunks
from jgm.samplers.decode import check_prompt

# (params, prompts [n, P], key) -> Rollout with leaves [n, ...]
Complete = Callable[[PyTree, Array, Array], Rollout]


def make_complete(task: Task, *, chunk_size: int) -> Complete:
  """Completions of any number of prompts, so many at a time; compiled once."""
  act = jax.jit(task.policy.act)

  def complete(params: PyTree, prompts: Array, key: Array) -> Rollout:
    one = lambda key, rows: act(params, rows, key)
    return in_chunks(one, key, prompts, size=chunk_size)

  return complete


def sample_of_state(task: Task, *, chunk_size: int) -> Callable[..., Array]:
  """The `sample` of an experiment that trains a policy.

  Args:
    task: what it completes.
    chunk_size: completions at a time.

  Returns:
    (state, key, n, *, prompt="", reference=False) -> int32, completions by the
    averaged policy, or by the reference that it began as: [n, N] of a prompt that is
    given, or [n, T], each behind a held-out prompt that is drawn.
  """
  sample_by = sample_of_params(task, chunk_size=chunk_size)

  def sample(
    state: TrainState, key: Array, n: int, *, prompt: str = "", reference: bool = False
  ) -> Array:
    policy = state.extra.reference if reference else state.ema_params["policy"]
    return sample_by(policy, key, n, prompt)

  return sample


def sample_of_params(
  task: Task, *, chunk_size: int
) -> Callable[[PyTree, Array, int, str], Array]:
  """(params, key, n, prompt) -> what `sample_of_state`'s returns, by any parameters."""
  complete = make_complete(task, chunk_size=chunk_size)
  spec, max_length = task.data.spec, task.max_length

  def sample(params: PyTree, key: Array, n: int, prompt: str) -> Array:
    key_prompt, key_act = jax.random.split(key)
    if prompt:
      tokens = np.asarray(spec.tokenizer.encode(prompt))
      check_prompt(tokens, spec.vocab_size, task.num_tokens, max_length)
      prompts = jnp.broadcast_to(tokens[np.newaxis], (n, len(tokens)))
    else:
      prompts = task.prompts(held_out_windows(task, key_prompt, n))
    drawn = complete(params, prompts, key_act)
    if prompt:
      return drawn.tokens
    return jnp.concatenate([drawn.prompt, drawn.tokens], axis=1)

  return sample


def held_out_windows(task: Task, key: Array, n: int) -> Array:
  """n windows [n, T + 1] int32 of the held-out text, drawn with replacement.

  None of them has the end of a document inside its prompt, but where all have.
  """
  windows: Any = task.data.split("test")["tokens"]
  prompts = windows[:, 1 : task.prompt_length]  # it may begin with one
  within = (prompts != task.data.spec.tokenizer.end_token).all(axis=1)
  windows = windows[within] if within.any() else windows
  return jnp.asarray(windows)[jax.random.choice(key, len(windows), (n,))]
