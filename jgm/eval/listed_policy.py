"""A policy whose completions can all be listed, beside the best there is."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jgm.core.experiment import Evaluation, Scalar
from jgm.core.state import Array, PyTree, TrainState
from jgm.eval.enumeration import all_sequences, expectation
from jgm.eval.optimum import Optimum
from jgm.eval.policy_pictures import against_optimum
from jgm.losses.kl import categorical_kl
from jgm.losses.masked import masked_sum
from jgm.policy.rollout import Rollout, token_logp
from jgm.policy.task import Task


def listed_evaluation(
  task: Task, optimum: Optimum | None
) -> Callable[[TrainState, Array], Evaluation]:
  """The `evaluate` of a policy whose completions can be listed.

  Args:
    task: without prompts, and without an end token.
    optimum: the policy that the method should end at; None where it is not known, and
      then there are no floors.

  Returns:
    (state, key) -> Evaluation. Its numbers are sums over all completions: the key is
    not used, and there is no noise in them.
  """
  count = task.data.spec.vocab_size**task.num_tokens
  reward_name, reward_of = next(iter(task.rewards.items()))

  def logp(params: PyTree, listed: Rollout) -> Array:
    of_tokens = token_logp(task.policy.logits(params, listed), listed)
    return masked_sum(of_tokens, listed.mask)

  @jax.jit
  def measure(
    state: TrainState, listed: Rollout
  ) -> tuple[dict[str, Array], dict[str, Array]]:
    reward = reward_of(state.extra, listed)
    ref = logp(state.extra.reference, listed)
    logps = {"policy": logp(state.ema_params["policy"], listed), "reference": ref}
    if optimum is not None:
      logps["optimum"] = optimum(ref, reward)
    numbers = {}
    for name, each in logps.items():
      numbers[f"{name}/reward"] = expectation(each, reward)
      numbers[f"{name}/kl_to_reference"] = categorical_kl(each, ref)
      if optimum is not None:
        numbers[f"{name}/kl_to_optimum"] = categorical_kl(each, logps["optimum"])
    return logps, numbers

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    del key
    logps, found = jax.device_get(measure(state, _all_completions(task)))
    numbers = {name: float(value) for name, value in found.items()}
    scalars = listed_scalars(numbers, reward_name, count)
    if optimum is None:
      return Evaluation(scalars, {})
    pictures = {"each completion, beside the best": against_optimum(logps)}
    return Evaluation(scalars, pictures)

  return evaluate


def _all_completions(task: Task) -> Rollout:
  sequences = jnp.asarray(all_sequences(task.data.spec.vocab_size, task.num_tokens))
  prompt = jnp.zeros((len(sequences), task.prompt_length), jnp.int32)
  ones = jnp.ones(sequences.shape)
  return Rollout(prompt, sequences, ones, jnp.zeros_like(ones))


def listed_scalars(
  numbers: Mapping[str, float], reward_name: str, count: int
) -> dict[str, Scalar]:
  """The policy's numbers beside the best policy's, where it is known.

  Args:
    numbers: "policy/reward" and so on, as `listed_evaluation` measures them.
    reward_name: what the reward is called.
    count: the number of completions.

  Returns:
    The KL to the best policy, the expected reward, and the KL to the reference.
  """
  note = f"exact, over all {count} completions; ceiling: the reference"
  scalars = {}
  if "policy/kl_to_optimum" in numbers:
    scalars["kl_to_optimum_nats"] = Scalar(
      numbers["policy/kl_to_optimum"],
      0.0,
      numbers["reference/kl_to_optimum"],
      note=note,
    )
    note += "; floor: the best policy"
  best_reward = numbers.get("optimum/reward")
  best_kl = numbers.get("optimum/kl_to_reference", 0.0)
  scalars[f"expected_{reward_name}"] = Scalar(
    numbers["policy/reward"],
    best_reward,
    numbers["reference/reward"],
    "higher" if best_reward is None else "equal to floor",
    note,
  )
  scalars["kl_to_reference_nats"] = Scalar(
    numbers["policy/kl_to_reference"],
    best_kl,
    better="equal to floor",
    note=note.replace("ceiling: the reference; ", ""),
  )
  return scalars
