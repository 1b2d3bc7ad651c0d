"""Rewards of completions: rules that can be checked by hand, and a learned model.

A reward is a function (extra, rollout) -> [B]: `extra` is the state's, where a learned
reward model lies frozen.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jgm.core.choice import choose
from jgm.core.state import Array, PyTree
from jgm.data.text_spec import TextSpec
from jgm.data.tokenizers import Tokenizer
from jgm.losses.masked import masked_sum
from jgm.losses.preference import reward_at_end
from jgm.models.transformer import Decoder, ScalarTransformer
from jgm.policy.rollout import Rollout

Reward = Callable[[PyTree, Rollout], Array]
RULES = ("letters", "table")
MOST_LISTED = 4096  # completions that a table has a reward of


def letter_share(letters: str, tokenizer: Tokenizer, *, scale: float) -> Reward:
  """`scale` times the share of a completion's bytes that are among some letters.

  Args:
    letters: which ones, of ASCII: each is one byte.
    tokenizer: what bytes a token stands for.
    scale: the reward of a completion of nothing else.

  Returns:
    The Reward, in [0, scale]; 0 for an empty completion.
  """

  def reward(extra: PyTree, rollout: Rollout) -> Array:
    del extra
    wanted, num_bytes = map(jnp.asarray, letter_counts(letters, tokenizer))
    found = masked_sum(wanted[rollout.tokens], rollout.mask)
    count = masked_sum(num_bytes[rollout.tokens], rollout.mask)
    return scale * found / jnp.maximum(count, 1.0)

  return reward


def letter_counts(letters: str, tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
  """Of each token, how many of its bytes are such letters, and how many it has: [V]."""
  wanted = set(letters.encode())
  texts = [tokenizer.decode_bytes([token]) for token in range(tokenizer.vocab_size)]
  found = [sum(byte in wanted for byte in text) for text in texts]
  return np.array(found, np.float32), tokenizer.num_bytes().astype(np.float32)


def sequence_table(vocab_size: int, length: int, *, scale: float, seed: int) -> Reward:
  """A reward of its own for each of the V^N completions: `table_of`.

  Args:
    vocab_size: V.
    length: N.
    scale: the standard deviation.
    seed: of the table.

  Returns:
    The Reward.
  """
  table = table_of(vocab_size, length, scale=scale, seed=seed)
  powers = vocab_size ** np.arange(length, dtype=np.int32)[::-1]

  def reward(extra: PyTree, rollout: Rollout) -> Array:
    del extra
    return jnp.asarray(table)[rollout.tokens @ powers]

  return reward


def table_of(vocab_size: int, length: int, *, scale: float, seed: int) -> np.ndarray:
  """Normal rewards [V^N], in the order of `jgm.eval.enumeration.all_sequences`."""
  normal = np.random.default_rng(seed).normal(size=vocab_size**length)
  return (scale * normal).astype(np.float32)


def learned_reward(model: ScalarTransformer) -> Reward:
  """What a reward model, `extra.reward_model`, says at the last token.

  Args:
    model: its network.

  Returns:
    The Reward.
  """

  def reward(extra: PyTree, rollout: Rollout) -> Array:
    return completion_reward(model, extra.reward_model, rollout)

  return reward


def completion_reward(
  model: ScalarTransformer, params: PyTree, rollout: Rollout
) -> Array:
  """[B]: a network's output at the last token of prompt and completion."""
  tokens = jnp.concatenate([rollout.prompt, rollout.tokens], axis=1)
  outputs: Any = model.apply({"params": params}, tokens)
  of_completion = outputs[:, rollout.prompt.shape[1] :]
  return reward_at_end(of_completion, rollout.mask)


def make_rewards(
  spec: TextSpec,
  decoder: Decoder,
  num_tokens: int,
  *,
  name: str,
  letters: str,
  scale: float,
  seed: int,
  learned: bool = False,
) -> dict[str, Reward]:
  """The rewards of a task: a rule, and a model that has learnt it if there is one.

  Args:
    spec: of the text.
    decoder: the reward model's.
    num_tokens: N, of a completion.
    name: "letters", `letter_share`, or "table", `sequence_table`.
    letters: whose share is rewarded.
    scale: of the rule.
    seed: of the table.
    learned: whether a reward model is learned from; the rule is then only measured.

  Returns:
    {"reward": ...}, or {"learned_reward": ..., "reward": ...}.

  Raises:
    ValueError: if there is no such rule, no letters or one beyond ASCII, or a table
      would be too large.
  """
  choose(name, dict.fromkeys(RULES), what="config.rule.name")
  if name == "letters":
    if not letters:
      raise ValueError("config.rule.letters names no letter: one at least is rewarded")
    if not letters.isascii():  # others have several bytes, each of many letters
      raise ValueError(f"config.rule.letters={letters!r}: each letter is one of ASCII")
    rule = letter_share(letters, spec.tokenizer, scale=scale)
  else:
    if spec.vocab_size**num_tokens > MOST_LISTED:
      raise ValueError(
        f"config.rule.name='table' lists every completion, and {spec.vocab_size} "
        f"tokens have more than {MOST_LISTED} of length {num_tokens}"
      )
    rule = sequence_table(spec.vocab_size, num_tokens, scale=scale, seed=seed)
  if not learned:
    return {"reward": rule}
  return {"learned_reward": learned_reward(ScalarTransformer(decoder)), "reward": rule}
