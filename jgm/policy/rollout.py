"""A language model as a policy: what it says to prompts, and how likely that was."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from einops import repeat

from jgm.core.state import Array, PyTree
from jgm.losses.autoregressive import cross_entropy
from jgm.models.transformer import Transformer
from jgm.samplers import logits as logits_transforms
from jgm.samplers.decode import cached_model, decode


class Rollout(NamedTuple):
  """Completions of prompts, by one policy. All prompts are of one length."""

  prompt: Array  # int32 [B, P]
  tokens: Array  # int32 [B, N]: what followed
  mask: Array  # float32 [B, N]: 1 up to the end token, itself included
  logp: Array  # float32 [B, N]: of each token, when it was drawn

  @property
  def context(self) -> Array:
    """int32 [B, P + N - 1]: what all tokens of the completion were drawn after."""
    return jnp.concatenate([self.prompt, self.tokens[:, :-1]], axis=1)


class Policy(NamedTuple):
  """How a model's parameters act; `logits` is of the distribution that `act` draws by.

  Property: `logp(logits(params, rollout), rollout)` is the rollout's own, where it was
  drawn with these parameters.
  """

  act: Callable[[PyTree, Array, Array], Rollout]  # (params, prompt [B, P], key)
  logits: Callable[[PyTree, Rollout], Array]  # -> [B, N, V]


def make_policy(
  model: Transformer,
  end_token: int | None,
  *,
  num_tokens: int,
  temperature: float = 1.0,
) -> Policy:
  """The policy of a Transformer's parameters.

  Args:
    model: the network.
    end_token: what a completion ends with; None: it has N tokens.
    num_tokens: the most tokens of a completion, N.
    temperature: above 0. There is no top-k or the like: what one policy draws, another
      might exclude, and nothing is left to compare.

  Returns:
    A Policy. The distribution that is sampled is the one that is scored.

  Raises:
    ValueError: for a temperature of 0 or less: the likeliest token has no gradient.
  """
  if not temperature > 0:
    raise ValueError(
      f"config.decoding.temperature={temperature}: a policy draws, so it is above 0"
    )
  transform = logits_transforms.temperature(temperature)

  def act(params: PyTree, prompt: Array, key: Array) -> Rollout:
    num_columns = prompt.shape[1] + num_tokens - 1  # the last token is not read
    drawn = decode(
      cached_model(model, params),
      model.decoder.empty_cache(len(prompt), num_columns),
      prompt,
      key,
      num_tokens=num_tokens,
      transform=transform,
      end_token=end_token,
    )
    mask = drawn.mask.astype(jnp.float32)
    return Rollout(prompt, drawn.tokens, mask, drawn.logp)

  def logits(params: PyTree, rollout: Rollout) -> Array:
    of_next: Any = model.apply({"params": params}, rollout.context)
    return transform(of_next[:, rollout.prompt.shape[1] - 1 :])

  return Policy(act, logits)


def token_logp(logits: Array, rollout: Rollout) -> Array:
  """log pi of each token of a rollout: [B, N], 0 behind its end.

  Args:
    logits: [B, N, V], of `Policy.logits`.
    rollout: whose tokens.

  Returns:
    [B, N] float32, in nats.
  """
  return -cross_entropy(logits, rollout.tokens, rollout.mask)


def prompts_of(windows: Array, num_tokens: int, *, copies: int = 1) -> Array:
  """The prompts in a batch of text, each so many times, one after the other.

  Args:
    windows: [B, T + 1] int32, of a text dataset. The completion's N places are cut off,
      and the last token, which is there to be predicted.
    num_tokens: N, less than T.
    copies: how often.

  Returns:
    [B copies, T - N] int32.
  """
  prompts = windows[:, : -num_tokens - 1]
  return repeat(prompts, "b p -> (b n) p", n=copies)
