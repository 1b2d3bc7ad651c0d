"""The Gaussian path: noise added to data, and the step back where both are known."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from jgm.noise.schedule import Schedule, Time, module_of, per_example

Array = jax.Array

VARIANCES = ("small", "large", "learned")  # of a step back: see `Posterior`


def diffuse(x_0: Array, eps: Array, t: Array, schedule: Schedule) -> Array:
  """Noisy data: x_t = alpha_t x_0 + sigma_t eps.

  Args:
    x_0: [B, ...] float. Clean data.
    eps: [B, ...] float. Standard normal noise.
    t: [B] or []. The time of each example.
    schedule: alpha and sigma.

  Returns:
    [B, ...] float. Property: x_0 itself at t = CLEAN.

  Reference: Ho, Jain, Abbeel 2020, eq. 4. https://arxiv.org/abs/2006.11239
  """
  chex.assert_equal_shape([x_0, eps])
  alpha, sigma = (
    per_example(schedule.alpha(t), x_0),
    per_example(schedule.sigma(t), x_0),
  )
  return alpha * x_0 + sigma * eps


def prior_scale(schedule: Schedule) -> float:
  """The standard deviation that sampling begins with: that of x_T for data of size 1.

  Args:
    schedule: any.

  Returns:
    sqrt(alpha^2 + sigma^2) at the last time: 1 where the variance is preserved.
  """
  alpha, sigma = schedule.alpha(schedule.last), schedule.sigma(schedule.last)
  return float((alpha**2 + sigma**2) ** 0.5)


class Posterior(NamedTuple):
  """q(x_s | x_t, x_0) = N(x_t_weight x_t + x_0_weight x_0, variance I)."""

  x_t_weight: Any
  x_0_weight: Any
  variance: Any  # "small": the posterior's own
  # "large": of x_t given x_s; the posterior's where the data are N(0, I)
  transition_variance: Any


def posterior(schedule: Schedule, t: Time, s: Time) -> Posterior:
  """The Gaussian posterior of a less noisy x_s, given x_t and x_0, for any s < t.

  Args:
    schedule: any schedule, whether or not it preserves the variance.
    t: [...] the time of the noisier x_t.
    s: [...] an earlier time. With s = CLEAN the posterior is x_0 itself.

  Returns:
    Posterior, each field [...].

  Reference: Ho, Jain, Abbeel 2020, eq. 7; Kingma et al. 2021, appendix A.
  https://arxiv.org/abs/2006.11239 https://arxiv.org/abs/2107.00630
  """
  # By the log-SNR, which neither cancels nor assumes that the variance is preserved.
  rest = -module_of(t).expm1(schedule.log_snr(t) - schedule.log_snr(s))
  sigma_t, sigma_s = schedule.sigma(t), schedule.sigma(s)
  return Posterior(
    x_t_weight=schedule.alpha(t) / schedule.alpha(s) * (sigma_s / sigma_t) ** 2,
    x_0_weight=schedule.alpha(s) * rest,
    variance=sigma_s**2 * rest,
    transition_variance=sigma_t**2 * rest,
  )


def check_variance(variance: str) -> None:
  """Raises a ValueError for a variance of the step back that is none of `VARIANCES`."""
  if variance not in VARIANCES:
    raise ValueError(f"unknown variance {variance!r}: it is one of {VARIANCES}")


def learned_log_variance(reverse: Posterior, fraction: Array) -> Array:
  """The log variance of p(x_s | x_t), learned between its two bounds.

  Args:
    reverse: the posterior of the step, each field [] or [B].
    fraction: [B, ...] float. What the network says: 0 is the small variance, 1 the
      large one. It is not clipped.

  Returns:
    [B, ...] float, fraction log(large) + (1 - fraction) log(small). The small variance
    of a step that ends at clean data is 0, which has no logarithm: there it is the
    large one, whatever the fraction, with gradient 0. A sampler adds no noise in that
    step; a bound needs a small variance there too, and puts that of the next step into
    `reverse` first. Property: the bounds themselves at 0 and 1.

  Reference: Nichol & Dhariwal 2021, eq. 15. https://arxiv.org/abs/2102.09672
  """
  small = per_example(reverse.variance, fraction)
  large = per_example(reverse.transition_variance, fraction)
  log_small = jnp.log(jnp.where(small > 0, small, large))
  return fraction * jnp.log(large) + (1 - fraction) * log_small
