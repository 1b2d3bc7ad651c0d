"""Learning from preferences: which of two answers to one prompt was chosen.

`chosen` and `rejected` are what a model says of the two answers of each pair: a reward,
or the log-probability, in nats, of the whole answer given its prompt (`sequence_logp`).
The reference policy is frozen: no gradient goes into its log-probabilities.
"""

import chex
import jax
import jax.numpy as jnp

from jgm.losses.autoregressive import cross_entropy
from jgm.losses.masked import last_real, masked_sum

Array = jax.Array


def sequence_logp(
  logits: Array, tokens: Array, mask: Array, *, reduction: str = "sum"
) -> Array:
  """log p(answer | prompt) of each row, in nats, or in nats per token.

  Args:
    logits: [B, T, V] float. Those of `tokens`, made of what precedes each.
    tokens: [B, T] int.
    mask: [B, T] float or bool, 1 on the tokens of the answer, its end token included, 0
      on prompt and padding, where logits and tokens may be anything.
    reduction: "sum", the log-probability; "mean", it over the number of real tokens.

  Returns:
    [B] float <= 0. Property: over all answers of one length the exponentials of the sum
    add up to 1; a row without real tokens gives 0, and no gradient.

  Raises:
    ValueError: if the reduction is neither of the two.
  """
  if reduction not in ("sum", "mean"):
    raise ValueError(f"reduction={reduction!r}: it is 'sum' or 'mean'")
  logp = masked_sum(-cross_entropy(logits, tokens, mask), mask)
  if reduction == "sum":
    return logp
  count = jnp.sum(mask, axis=1, dtype=logp.dtype)
  return logp / jnp.where(count > 0, count, 1.0)


def reward_at_end(rewards: Array, mask: Array) -> Array:
  """A reward model's output at the last real token of each row.

  Args:
    rewards: [B, T] float. Its output at every token.
    mask: [B, T] float or bool, 0 on padding, at either side.

  Returns:
    [B] float. Property: padding does not change it; 0 for a row without real tokens.
  """
  chex.assert_rank(rewards, 2)
  chex.assert_equal_shape([rewards, mask])
  return jnp.sum(jnp.where(last_real(mask), rewards, 0.0), axis=1)


def bradley_terry_loss(
  chosen: Array, rejected: Array, *, label_smoothing: float = 0.0
) -> Array:
  """-log sigmoid(chosen - rejected) of each pair, in nats: the loss of a reward model.

  Args:
    chosen: [B] float. Rewards of the answers that were chosen.
    rejected: [B] float. Rewards of the others.
    label_smoothing: the probability, in [0, 1/2), that the label of a pair is flipped.

  Returns:
    [B] float >= 0, log 2 where the rewards are equal. Property: in expectation least
    where sigmoid(chosen - rejected) is the probability of the preference; smoothed, it
    is least at a difference of log((1 - e) / e).

  Raises:
    ValueError: if label_smoothing is not in [0, 1/2).

  Reference: Christiano et al. 2017, section 2.2.3; Ouyang et al. 2022, eq. 1.
  https://arxiv.org/abs/1706.03741 https://arxiv.org/abs/2203.02155
  """
  if not 0 <= label_smoothing < 0.5:
    raise ValueError(f"label_smoothing={label_smoothing}: it is in [0, 1/2)")
  chex.assert_rank([chosen, rejected], 1)
  chex.assert_equal_shape([chosen, rejected])
  margin = chosen - rejected
  as_labelled, flipped = jax.nn.softplus(-margin), jax.nn.softplus(margin)
  return (1 - label_smoothing) * as_labelled + label_smoothing * flipped


def reward_centering_loss(chosen: Array, rejected: Array) -> Array:
  """(chosen + rejected)^2 of each pair: keeps a reward model's mean at 0.

  Preferences know rewards but for a constant. Left alone it drifts, and what adds a
  constant (a last bias) has a gradient of nothing but rounding.

  Args:
    chosen: [B] float. Rewards of the answers that were chosen.
    rejected: [B] float. Rewards of the others.

  Returns:
    [B] float >= 0. Property: least where the mean of all rewards is 0; a small weight
    beside `bradley_terry_loss` leaves differences all but as they are.

  Reference: Eisenstein et al. 2023. https://arxiv.org/abs/2312.09244
  """
  chex.assert_rank([chosen, rejected], 1)
  chex.assert_equal_shape([chosen, rejected])
  return jnp.square(chosen + rejected)


def implicit_reward(policy_logp: Array, ref_logp: Array, *, beta: float) -> Array:
  """beta log(pi / ref): the reward, but for a constant, that pi is the optimum of.

  Args:
    policy_logp: [B] float. Log-probabilities of answers, summed over tokens.
    ref_logp: [B] float. The same under the reference.
    beta: the weight of KL(pi || ref) against the reward.

  Returns:
    [B] float. Property: of answers to one prompt its differences are those of r where
    pi is proportional to ref exp(r / beta).

  Reference: Rafailov et al. 2023, eq. 5. https://arxiv.org/abs/2305.18290
  """
  chex.assert_equal_shape([policy_logp, ref_logp])
  return beta * (policy_logp - jax.lax.stop_gradient(ref_logp))


def dpo_loss(
  policy_chosen: Array,
  policy_rejected: Array,
  ref_chosen: Array,
  ref_rejected: Array,
  *,
  beta: float,
  label_smoothing: float = 0.0,
) -> Array:
  """DPO of each pair, in nats: `bradley_terry_loss` of the implicit rewards.

  Args:
    policy_chosen: [B] float. log pi of the chosen answers, summed over their tokens.
    policy_rejected: [B] float. log pi of the rejected ones.
    ref_chosen: [B] float. log ref of the chosen answers.
    ref_rejected: [B] float. log ref of the rejected ones.
    beta: the weight of KL(pi || ref) against the reward.
    label_smoothing: the probability, in [0, 1/2), that the label of a pair is flipped
      (conservative DPO).

  Returns:
    [B] float >= 0, log 2 at pi = ref. Property: where preferences are Bradley-Terry's
    of a reward r it is, in expectation, least at pi proportional to ref exp(r / beta).

  Raises:
    ValueError: if label_smoothing is not in [0, 1/2).

  Reference: Rafailov et al. 2023, eq. 7; Mitchell 2023 (the smoothing).
  https://arxiv.org/abs/2305.18290 https://ericmitchell.ai/cdpo.pdf
  """
  return bradley_terry_loss(
    implicit_reward(policy_chosen, ref_chosen, beta=beta),
    implicit_reward(policy_rejected, ref_rejected, beta=beta),
    label_smoothing=label_smoothing,
  )


def ipo_loss(
  policy_chosen: Array,
  policy_rejected: Array,
  ref_chosen: Array,
  ref_rejected: Array,
  *,
  tau: float,
) -> Array:
  """(h - 1 / (2 tau))^2 of each pair, h the margin between the two log(pi / ref).

  Unlike DPO it has a finite optimum where one answer is always chosen.

  Args:
    policy_chosen: [B] float. log pi of the chosen answers, summed over their tokens as
      the paper has it; others take the mean, and a tau that goes with it.
    policy_rejected: [B] float. log pi of the rejected ones.
    ref_chosen: [B] float. log ref of the chosen answers.
    ref_rejected: [B] float. log ref of the rejected ones.
    tau: the weight of KL(pi || ref) against the probability of being preferred.

  Returns:
    [B] float >= 0, 1 / (2 tau)^2 at pi = ref. Property: for pairs drawn from mu it is,
    in expectation, least at pi proportional to ref exp(p / tau), p the probability that
    an answer is preferred to one of mu.

  Reference: Azar et al. 2023, eq. 17. https://arxiv.org/abs/2310.12036
  """
  chex.assert_rank([policy_chosen, policy_rejected], 1)
  chex.assert_equal_shape([policy_chosen, policy_rejected])
  chosen = implicit_reward(policy_chosen, ref_chosen, beta=1.0)
  rejected = implicit_reward(policy_rejected, ref_rejected, beta=1.0)
  return jnp.square(chosen - rejected - 0.5 / tau)
