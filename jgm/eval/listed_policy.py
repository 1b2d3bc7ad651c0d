"""A policy whose completions can all be listed, beside the best there is."""

from collections.abc import Callable

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
  task: Task, optimum: Optimum
) -> Callable[[TrainState, Array], Evaluation]:
  """The `evaluate` of a policy whose completions can be listed.

  Args:
    task: without prompts, and without an end token.
    optimum: the policy that the method should end at.

  Returns:
    (state, key) -> Evaluation. Its numbers are sums over all completions: the key is
    not used, and there is no noise in them.
  """
  vocab_size = task.data.spec.vocab_size
  sequences = jnp.asarray(all_sequences(vocab_size, task.num_tokens))
  count = len(sequences)
  prompt = jnp.zeros((count, task.prompt_length), jnp.int32)
  ones = jnp.ones(sequences.shape)
  listed = Rollout(prompt, sequences, ones, jnp.zeros(sequences.shape))
  reward_name, reward_of = next(iter(task.rewards.items()))

  def logp(params: PyTree) -> Array:
    of_tokens = token_logp(task.policy.logits(params, listed), listed)
    return masked_sum(of_tokens, ones)

  @jax.jit
  def measure(state: TrainState) -> tuple[dict[str, Array], dict[str, Array]]:
    reward = reward_of(state.extra, listed)
    ref = logp(state.extra.reference)
    logps = {
      "policy": logp(state.ema_params["policy"]),
      "reference": ref,
      "optimum": optimum(ref, reward),
    }
    numbers = {}
    for name, each in logps.items():
      numbers[name, "reward"] = expectation(each, reward)
      numbers[name, "kl_to_reference"] = categorical_kl(each, ref)
      numbers[name, "kl_to_optimum"] = categorical_kl(each, logps["optimum"])
    return logps, {f"{name}/{what}": value for (name, what), value in numbers.items()}

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    del key
    logps, numbers = jax.device_get(measure(state))
    value = lambda name, what: float(numbers[f"{name}/{what}"])
    note = f"exact, over all {count} completions; ceiling: the reference"
    scalars = {
      "kl_to_optimum_nats": Scalar(
        value("policy", "kl_to_optimum"),
        0.0,
        value("reference", "kl_to_optimum"),
        note=note,
      ),
      f"expected_{reward_name}": Scalar(
        value("policy", "reward"),
        value("optimum", "reward"),
        value("reference", "reward"),
        "equal to floor",
        note + "; floor: the best policy",
      ),
      "kl_to_reference_nats": Scalar(
        value("policy", "kl_to_reference"),
        value("optimum", "kl_to_reference"),
        better="equal to floor",
        note=f"exact, over all {count} completions; floor: the best policy",
      ),
    }
    return Evaluation(
      scalars, {"each completion, beside the best": against_optimum(logps)}
    )

  return evaluate
