"""The evaluation of a language model as a policy: what it earns, how far it has gone.

Where all completions can be listed everything is exact, and the best policy is known.
Elsewhere the policy and its reference complete the same held-out prompts.
"""

from collections.abc import Callable

from jgm.core.experiment import Evaluation
from jgm.core.state import Array, TrainState
from jgm.data.no_prompt import NO_PROMPT
from jgm.eval.listed_policy import listed_evaluation
from jgm.eval.optimum import Optimum
from jgm.eval.sampled_policy import sampled_evaluation
from jgm.policy.reward import MOST_LISTED
from jgm.policy.task import Task


def make_policy_evaluation(
  task: Task, optimum: Optimum | None, *, num_samples: int, chunk_size: int
) -> Callable[[TrainState, Array], Evaluation]:
  """The `evaluate` of a policy, from `ema_params["policy"]`.

  Args:
    task: what it is judged by.
    optimum: what it should end at, if that is known; used where completions are listed.
    num_samples: completions of held-out prompts.
    chunk_size: completions at a time.

  Returns:
    (state, key) -> Evaluation: `listed_evaluation` where no prompt says anything and
    there are at most 4,096 completions, else `sampled_evaluation`.
  """
  if task.data.name == NO_PROMPT and task.num_completions <= MOST_LISTED:
    return listed_evaluation(task, optimum)
  return sampled_evaluation(task, num_samples=num_samples, chunk_size=chunk_size)
