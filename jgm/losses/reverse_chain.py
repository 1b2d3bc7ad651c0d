"""The reverse chain p(x_{t-1} | x_t) beside the posterior q(x_{t-1} | x_t, x_0).

These are what the terms of the variational bound compare. The mean of both is a weight
times x_t and a weight times x_0, where p has only an estimate of x_0.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jgm.losses.gaussian import (
  discretised_gaussian_log_prob,
  gaussian_kl,
  gaussian_log_prob,
)
from jgm.noise import (
  Posterior,
  Schedule,
  check_variance,
  discrete_steps,
  learned_log_variance,
  per_example,
  posterior,
  prior_scale,
)

Array = jax.Array


class Estimate(NamedTuple):
  """What a denoiser says of x_0, and of the variance where that is learned."""

  x_0: Array  # [B, ...]
  fraction: Array | None = None  # [B, ...] in [0, 1]: see `learned_log_variance`


class ReverseChain(NamedTuple):
  """The steps t = 0 .. T-1 of q and p: [T] each, float64 on the host."""

  x_0_weight: np.ndarray  # of x_0 in the mean of q, of x_0_hat in that of p
  log_variance: np.ndarray  # of q; at t = 0, where q is x_0 itself, never used
  model_log_variance: np.ndarray  # of p where it is fixed
  bounds: Posterior  # between which that of p is, where it is learned


def make_chain(
  schedule: Schedule, variance: str, decoder_variance: float | None
) -> ReverseChain:
  """The weights and variances of every step.

  Args:
    schedule: discrete.
    variance: one of `jgm.noise.VARIANCES`.
    decoder_variance: as `variational_bound` has it.

  Returns:
    ReverseChain. At t = 0 the small variance is that of t = 1, for its own is 0.

  Raises:
    ValueError: if the schedule is continuous or the variance is not known.
  """
  check_variance(variance)
  t = np.arange(discrete_steps(schedule))
  reverse = posterior(schedule, t, t - 1)
  small, large = reverse.variance.copy(), reverse.transition_variance.copy()
  small[0] = small[1] if len(t) > 1 else large[0]
  model = (large if variance == "large" else small).copy()
  model[0] = small[0]
  log_variance = np.log(small)
  if decoder_variance is not None:
    model[0] = small[0] = large[0] = decoder_variance
  bounds = reverse._replace(variance=small, transition_variance=large)
  return ReverseChain(reverse.x_0_weight, log_variance, np.log(model), bounds)


def step_kl(chain: ReverseChain, x_0: Array, estimate: Estimate, t: Array) -> Array:
  """KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) per example, in nats, for t > 0.

  Args:
    chain: the steps.
    x_0: [B, ...] float. The data.
    estimate: of it, from x_t.
    t: [B] or [] int32.

  Returns:
    [B] float >= 0. Property: zero where the estimate is right and the variance small.
  """
  # what x_t adds to the mean of q it adds to that of p too
  weight = _at(chain.x_0_weight, t, x_0)
  log_variance = _at(chain.log_variance, t, x_0)
  model_log_variance = _model_log_variance(chain, estimate, t)
  return gaussian_kl(
    weight * x_0, log_variance, weight * estimate.x_0, model_log_variance
  )


def decoder_loss(
  chain: ReverseChain,
  x_0: Array,
  estimate: Estimate,
  *,
  levels: int | None,
  low: float,
  high: float,
) -> Array:
  """-log p(x_0 | x_t) at t = 0 per example, in nats.

  Args:
    chain: the steps.
    x_0: [B, ...] float. The data; where they have levels, the middles of their bins.
    estimate: of it, from x_t at t = 0.
    levels: the number of grey levels, whose log mass it is; None: a log-density.
    low: the value of level 0.
    high: the value of the last level.

  Returns:
    [B] float. Property: >= 0 where there are levels.

  Raises:
    ValueError: if there are no bins.
  """
  log_variance = _model_log_variance(chain, estimate, jnp.zeros((), jnp.int32))
  if levels is None:
    return -gaussian_log_prob(x_0, estimate.x_0, log_variance)
  return -discretised_gaussian_log_prob(
    x_0, estimate.x_0, log_variance, levels=levels, low=low, high=high
  )


def prior_kl(schedule: Schedule, x_0: Array) -> Array:
  """KL(q(x_T | x_0) || p(x_T)) per example, in nats.

  Args:
    schedule: discrete.
    x_0: [B, ...] float. The data.

  Returns:
    [B] float >= 0. p(x_T) is what sampling begins with, of scale `prior_scale`: N(0, I)
    where the variance is preserved. Property: no network changes it.
  """
  last = discrete_steps(schedule) - 1
  mean = jnp.asarray(schedule.alpha(last), x_0.dtype) * x_0
  log_variance = jnp.asarray(2 * np.log(schedule.sigma(last)), x_0.dtype)
  prior_log_variance = jnp.asarray(2 * np.log(prior_scale(schedule)), x_0.dtype)
  return gaussian_kl(mean, log_variance, jnp.zeros_like(mean), prior_log_variance)


def _model_log_variance(chain: ReverseChain, estimate: Estimate, t: Array) -> Array:
  if estimate.fraction is None:
    return _at(chain.model_log_variance, t, estimate.x_0)
  chex.assert_equal_shape(estimate)
  bounds = Posterior(*(jnp.asarray(values)[t] for values in chain.bounds))
  return learned_log_variance(bounds, estimate.fraction)


def _at(values: np.ndarray, t: Array, x: Array) -> Array:
  return per_example(jnp.asarray(values)[t], x)
