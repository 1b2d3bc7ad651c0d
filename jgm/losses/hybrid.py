"""Training by the variational bound: one of its terms, and the hybrid with "simple"."""

import math

import chex
import jax
import jax.numpy as jnp

from jgm.losses.reverse_chain import Estimate, decoder_loss, make_chain, step_kl
from jgm.noise import Schedule, discrete_steps

Array = jax.Array


def bound_term(
  x_0_hat: Array,
  fraction: Array,
  x_0: Array,
  t: Array,
  schedule: Schedule,
  *,
  levels: int | None,
  low: float = -1.0,
  high: float = 1.0,
  decoder_variance: float | None = None,
) -> Array:
  """The term of the bound on -log p(x_0) that belongs to step t, in nats per example.

  KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) for t > 0, the decoder at t = 0. For
  uniform t, T times it is an unbiased estimate of the bound without its prior term.

  Args:
    x_0_hat: [B, ...] float. The denoiser's estimate, from x_t.
    fraction: [B, ...] float in [0, 1]. Its learned variance: `learned_log_variance`.
    x_0: [B, ...] float. The data; where they have levels, the middles of their bins.
    t: [B] int32. The step of each example.
    schedule: discrete.
    levels: as `variational_bound` has it, like all that follow.
    low: the value of level 0.
    high: the value of the last level.
    decoder_variance: None: the decoder's variance is learned too.

  Returns:
    [B] float, the sum over all axes but the first. Property: the term of
    `variational_bound` at that step.

  Raises:
    ValueError: if the schedule is continuous.

  Reference: Nichol & Dhariwal 2021, eqs. 4 to 7. https://arxiv.org/abs/2102.09672
  """
  chex.assert_equal_shape([x_0_hat, fraction, x_0])
  chex.assert_shape(t, x_0.shape[:1])
  chain = make_chain(schedule, "learned", decoder_variance)
  estimate = Estimate(x_0_hat, fraction)
  decoder = decoder_loss(chain, x_0, estimate, levels=levels, low=low, high=high)
  return jnp.where(t == 0, decoder, step_kl(chain, x_0, estimate, t))


def hybrid_loss(
  simple: Array,
  x_0_hat: Array,
  fraction: Array,
  x_0: Array,
  t: Array,
  schedule: Schedule,
  *,
  levels: int | None,
  low: float = -1.0,
  high: float = 1.0,
  bound_weight: float = 0.001,
) -> Array:
  """L_simple + bound_weight L_vlb per example, at one step for each.

  L_vlb is T times `bound_term`, in bits per dimension, as the authors' code has it;
  bound_weight is their lambda for a mean squared error of eps. It trains the variance
  alone: no gradient flows through its x_0_hat.

  Args:
    simple: [B] float. The loss of the mean: any regression's, by any weight.
    x_0_hat: [B, ...] float. The denoiser's estimate, from x_t, not clipped.
    fraction: [B, ...] float in [0, 1]. Its learned variance: `learned_log_variance`.
    x_0: [B, ...] float. The data.
    t: [B] int32. The step of each example, uniform over 0 .. T-1.
    schedule: discrete.
    levels: as `variational_bound` has it, like all that follow.
    low: the value of level 0.
    high: the value of the last level.
    bound_weight: lambda.

  Returns:
    [B] float. Property: its gradient by `simple` is 1, by x_0_hat zero, and by the
    fraction that of bound_weight T `bound_term` / (D log 2).

  Raises:
    ValueError: as `bound_term`.

  Reference: Nichol & Dhariwal 2021, eq. 16. https://arxiv.org/abs/2102.09672
  """
  chex.assert_equal_shape([simple, t])
  x_0_hat = jax.lax.stop_gradient(x_0_hat)
  term = bound_term(
    x_0_hat, fraction, x_0, t, schedule, levels=levels, low=low, high=high
  )
  bits_per_nat_and_dimension = 1.0 / (math.prod(x_0.shape[1:]) * math.log(2.0))
  num_steps = discrete_steps(schedule)
  return simple + bound_weight * num_steps * bits_per_nat_and_dimension * term
