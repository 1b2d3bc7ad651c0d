"""What a policy is to do: complete prompts, for a reward."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jgm.core.experiment import Dataset
from jgm.core.state import Array
from jgm.models.transformer import Transformer
from jgm.policy.reward import Reward, make_rewards
from jgm.policy.rollout import Policy, make_policy, prompts_of


class Task(NamedTuple):
  """Prompts, how they are completed, and what that earns."""

  data: Dataset  # of text: the windows' beginnings are the prompts
  policy: Policy
  rewards: Mapping[str, Reward]  # the first is learned from, all are measured
  num_tokens: int  # N, of a completion
  max_length: int  # of prompt and completion together: the networks' context

  @property
  def reward(self) -> Reward:
    """What is learned from."""
    return next(iter(self.rewards.values()))

  @property
  def prompt_length(self) -> int:
    """T - N tokens of a window."""
    return self.data.spec.shape[0] - self.num_tokens

  @property
  def num_completions(self) -> int:
    """V^N: how many completions of N tokens there are."""
    return self.data.spec.vocab_size**self.num_tokens

  def prompts(self, windows: Array, *, copies: int = 1) -> Array:
    """`prompts_of` windows [B, T + 1] of the data: [B copies, T - N] int32."""
    return prompts_of(windows, self.num_tokens, copies=copies)


def make_task(
  data: Dataset,
  model: Transformer,
  *,
  rule: Mapping[str, Any],
  learned: bool,
  num_tokens: int,
  **decoding: Any,
) -> Task:
  """The task of completing text.

  Args:
    data: of text; its windows hold a prompt and a completion.
    model: the policy's network.
    rule: the keywords of `jgm.policy.reward.make_rewards`.
    learned: whether the reward is that of a model, `extra.reward_model`.
    num_tokens: N, of a completion.
    **decoding: the other keywords of `jgm.policy.rollout.make_policy`.

  Returns:
    The Task.

  Raises:
    ValueError: if a window is no longer than a completion, so that nothing is left to
      prompt, or longer than the network's context.
  """
  spec = data.spec
  if spec.shape[0] <= num_tokens:
    raise ValueError(
      f"config.data.context={spec.shape[0]} holds a prompt and a completion: it must "
      f"be more than config.decoding.num_tokens={num_tokens}"
    )
  max_length = model.decoder.max_length
  if spec.shape[0] > max_length:
    raise ValueError(
      f"config.data.context={spec.shape[0]} is more than config.model.max_length="
      f"{max_length}"
    )
  end_token = spec.tokenizer.end_token
  policy = make_policy(model, end_token, num_tokens=num_tokens, **decoding)
  rewards = make_rewards(spec, model.decoder, num_tokens, learned=learned, **rule)
  return Task(data, policy, rewards, num_tokens, max_length)
