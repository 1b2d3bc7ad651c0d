"""A policy's completions of held-out prompts, beside those of its reference."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from jgm.core.experiment import Evaluation, Scalar
from jgm.core.state import Array, PyTree, TrainState
from jgm.data.text_spec import TextSpec
from jgm.data.tokenizers import Tokenizer
from jgm.eval.passages import readable, until_end
from jgm.eval.policy_pictures import reward_histogram
from jgm.losses.kl import categorical_kl
from jgm.losses.masked import masked_sum
from jgm.policy.completer import held_out_windows, make_complete
from jgm.policy.rollout import Rollout
from jgm.policy.task import Task
from jgm.samplers.chunks import in_chunks

SHOWN = 6  # completions in the report, before and after
SAME = 0.5  # a smaller share of different completions gives a warning


def sampled_evaluation(
  task: Task, *, num_samples: int, chunk_size: int
) -> Callable[[TrainState, Array], Evaluation]:
  """The `evaluate` of a policy by its completions, beside its reference's.

  Args:
    task: whose rewards are measured; the first is what was learned from.
    num_samples: held-out prompts, which both complete.
    chunk_size: completions at a time.

  Returns:
    (state, key) -> Evaluation.
  """
  complete = make_complete(task, chunk_size=chunk_size)
  spec: TextSpec = task.data.spec

  @jax.jit
  def rewards_of(extra: PyTree, rollout: Rollout) -> dict[str, Array]:
    return {name: reward(extra, rollout) for name, reward in task.rewards.items()}

  @jax.jit
  def divergence(state: TrainState, rollout: Rollout) -> Array:
    """KL(pi || ref) at each token, exact, summed over the policy's own completion."""
    logits = task.policy.logits(state.ema_params["policy"], rollout)
    of_tokens = categorical_kl(
      logits, task.policy.logits(state.extra.reference, rollout)
    )
    return masked_sum(of_tokens, rollout.mask)

  def by_rows(
    fn: Callable[..., Any], given: PyTree, rollout: Rollout, key: Array
  ) -> Any:
    one = lambda _, rows: fn(given, rows)
    return jax.device_get(in_chunks(one, key, rollout, size=chunk_size))

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    key_prompt, key_policy, key_reference, key_rows = jax.random.split(key, 4)
    prompts = task.prompts(held_out_windows(task, key_prompt, num_samples))
    after = complete(state.ema_params["policy"], prompts, key_policy)
    before = complete(state.extra.reference, prompts, key_reference)
    earned = by_rows(rewards_of, state.extra, after, key_rows)
    at_first = by_rows(rewards_of, state.extra, before, key_rows)
    kl = by_rows(divergence, state, after, key_rows)
    scalars = {
      name: beside_reference(earned[name], at_first[name]) for name in task.rewards
    }
    scalars["kl_to_reference_nats"] = Scalar(
      float(np.mean(kl)),
      0.0,
      note=f"{spread_of(kl)} of a completion of at most {task.num_tokens} tokens; the "
      "exact KL at each token of the policy's own; floor: the reference itself",
    )
    name = next(iter(task.rewards))
    drawn = {"before": at_first[name], "after": earned[name]}
    written = {"before": before, "after": after}
    return Evaluation(
      scalars,
      {"rewards of held-out prompts": reward_histogram(drawn, label=name)},
      policy_warnings(after),
      {
        f"{when}: prompt | completion": completions_text(rows, spec.tokenizer)
        for when, rows in written.items()
      },
    )

  return evaluate


def beside_reference(earned: NDArray, at_first: NDArray) -> Scalar:
  """The mean reward of a policy, and that of its reference."""
  return Scalar(
    float(np.mean(earned)),
    None,
    float(np.mean(at_first)),
    "higher",
    f"{spread_of(earned)}; ceiling: the reference, {spread_of(at_first)}",
  )


def spread_of(values: NDArray) -> str:
  """ "± standard error of N"."""
  return f"± {values.std() / np.sqrt(len(values)):.2g} of N={len(values)}"


def policy_warnings(rollout: Rollout) -> tuple[str, ...]:
  """A warning where a policy says the same whatever it is asked."""
  distinct = len({row.tobytes() for row in np.asarray(rollout.tokens)})
  share = distinct / len(rollout.tokens)
  if share > SAME:
    return ()
  return (
    f"only {distinct} of {len(rollout.tokens)} completions differ: the policy has "
    "collapsed onto them. A larger config.beta holds it to the reference",
  )


def completions_text(rollout: Rollout, tokenizer: Tokenizer) -> str:
  """The first completions, each in a line of its own, behind its prompt."""
  lines = []
  rows = zip(np.asarray(rollout.prompt), np.asarray(rollout.tokens), strict=True)
  for prompt, tokens in itertools.islice(rows, SHOWN):
    said = until_end(tokens, tokenizer).decode(errors="replace")
    lines.append(f"{tokenizer.decode(prompt)} | {said}")
  return "\n".join(readable(line).replace("\n", "⏎") for line in lines)
