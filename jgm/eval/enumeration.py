"""A problem so small that all its answers are listed: every expectation is a sum.

With V tokens and length T there are N = V^T sequences. A policy is the log-probability
[N] of each of them. Any model that has logits for `all_sequences` has one: it is
`jgm.losses.preference.sequence_logp` of them. The policy that can be anything is a
table, with a row of logits for each prefix: `prefix_rows` are the rows that a sequence
meets. KL(pi || other) of two policies is `jgm.losses.kl.categorical_kl` of theirs, for
normalised log-probabilities are logits.

What learning from rewards and preferences should end at is known: `optimal_logp`.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jgm.core.state import Array


def all_sequences(vocab_size: int, length: int) -> np.ndarray:
  """Every sequence of tokens, in the order of the numbers they write in base V.

  Args:
    vocab_size: V.
    length: T.

  Returns:
    [V^T, T] int32. Property: no two rows are the same.
  """
  return np.indices((vocab_size,) * length, np.int32).reshape(length, -1).T


def num_prefixes(vocab_size: int, length: int) -> int:
  """How many prefixes come before a token: 1 + V + ... + V^(T-1), the empty one too.

  Args:
    vocab_size: V.
    length: T.

  Returns:
    The rows of a policy's table [num_prefixes, V].
  """
  return sum(vocab_size**t for t in range(length))


def prefix_rows(sequences: np.ndarray, vocab_size: int) -> np.ndarray:
  """Which row of a table of all prefixes stands before each token of a sequence.

  Args:
    sequences: [N, T] int.
    vocab_size: V.

  Returns:
    [N, T] int32, so that `table[rows]` are the logits [N, T, V] of a policy. Property:
    two sequences share a row iff they agree up to there; every row is met.
  """
  length = sequences.shape[1]
  numbers = np.zeros_like(sequences)  # what the prefix writes in base V
  for t in range(1, length):
    numbers[:, t] = numbers[:, t - 1] * vocab_size + sequences[:, t - 1]
  shorter = [num_prefixes(vocab_size, t) for t in range(length)]
  return (numbers + np.array(shorter)[None]).astype(np.int32)


def expectation(logp: Array, values: Array) -> Array:
  """E values under a policy, by the sum over all sequences.

  Args:
    logp: [N] float. Log-probability of each sequence, in nats.
    values: [N] float.

  Returns:
    [] float. Property: it is differentiable by both.
  """
  chex.assert_rank([logp, values], 1)
  chex.assert_equal_shape([logp, values])
  return jnp.sum(jnp.exp(logp) * values)


def optimal_logp(ref_logp: Array, reward: Array, *, beta: float) -> Array:
  """The policy with the greatest E reward - beta KL(pi || ref).

  It is ref exp(reward / beta) / Z. With `preferred` as the reward and tau as beta it is
  what IPO is least at.

  Args:
    ref_logp: [N] float. Log-probability of each sequence under the reference.
    reward: [N] float.
    beta: the weight of the KL, > 0.

  Returns:
    [N] float, normalised. Property: no other policy has more of that objective; its
    value there is beta log Z.

  Reference: Rafailov et al. 2023, eq. 4; Azar et al. 2023, eq. 7.
  https://arxiv.org/abs/2305.18290 https://arxiv.org/abs/2310.12036
  """
  chex.assert_rank([ref_logp, reward], 1)
  chex.assert_equal_shape([ref_logp, reward])
  return jax.nn.log_softmax(ref_logp + reward / beta)


def preferences(reward: Array) -> Array:
  """Bradley-Terry's probability that one sequence is preferred to another.

  Args:
    reward: [N] float.

  Returns:
    [N, N] float, that of the row to the column. Property: 1 less its transpose.

  Reference: Bradley & Terry 1952, eq. 1. https://doi.org/10.2307/2334029
  """
  chex.assert_rank(reward, 1)
  return jax.nn.sigmoid(reward[:, None] - reward[None])


def preferred(probabilities: Array, logp: Array) -> Array:
  """The probability that a sequence is preferred to one drawn from a policy.

  Args:
    probabilities: [N, N] float, as `preferences` has it.
    logp: [N] float. The policy, mu.

  Returns:
    [N] float. Property: its mean under mu is 1/2.

  Reference: Azar et al. 2023, section 3. https://arxiv.org/abs/2310.12036
  """
  chex.assert_rank([probabilities, logp], [2, 1])
  return probabilities @ jnp.exp(logp)
