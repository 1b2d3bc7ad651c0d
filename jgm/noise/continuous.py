"""Schedules in continuous time: the VP, sub-VP and VE SDEs, and the straight path."""

import math
from typing import Any

import numpy as np

from jgm.noise.schedule import Schedule, Time, log_ratio, module_of


def vp_schedule(
  beta_min: float = 0.1, beta_max: float = 20.0, *, first: float = 1e-3
) -> Schedule:
  """The variance-preserving SDE dx = -beta(t) / 2 x dt + sqrt(beta(t)) dw.

  The limit of DDPM's linear betas: beta(t) = beta_min + t (beta_max - beta_min).

  Args:
    beta_min: the rate at t = 0.
    beta_max: the rate at t = 1.
    first: the time of least noise; the score explodes towards 0.

  Returns:
    A Schedule with alpha^2 + sigma^2 = 1.

  Raises:
    ValueError: if not 0 < beta_min < beta_max or not 0 < first < 1.

  Reference: Song et al. 2021, eqs. 11 and 29. https://arxiv.org/abs/2011.13456
  """
  rate, log_alpha = _linear_rate(beta_min, beta_max, first)
  alpha = lambda t: module_of(t).exp(log_alpha(t))
  sigma = lambda t: module_of(t).sqrt(0.0 - module_of(t).expm1(2 * log_alpha(t)))
  alpha_rate = lambda t: -0.5 * rate(t) * alpha(t)
  return Schedule(
    alpha=alpha,
    sigma=sigma,
    log_snr=lambda t: log_ratio(alpha(t), sigma(t)),
    drift=lambda t: -0.5 * rate(t),
    diffusion=lambda t: module_of(t).sqrt(rate(t)),
    alpha_rate=alpha_rate,
    sigma_rate=lambda t: -alpha(t) * alpha_rate(t) / sigma(t),
    first=first,
  )


def sub_vp_schedule(
  beta_min: float = 0.1, beta_max: float = 20.0, *, first: float = 1e-3
) -> Schedule:
  """The sub-VP SDE: the drift of VP, and at all times less noise.

  Args:
    beta_min: as `vp_schedule` has it, like all that follow.
    beta_max: the rate at t = 1.
    first: the time of least noise.

  Returns:
    A Schedule with sigma = 1 - alpha^2.

  Raises:
    ValueError: as `vp_schedule`.

  Reference: Song et al. 2021, eqs. 12 and 29. https://arxiv.org/abs/2011.13456
  """
  rate, log_alpha = _linear_rate(beta_min, beta_max, first)
  alpha = lambda t: module_of(t).exp(log_alpha(t))
  sigma = lambda t: 0.0 - module_of(t).expm1(2 * log_alpha(t))
  alpha_rate = lambda t: -0.5 * rate(t) * alpha(t)

  def diffusion(t: Time) -> Any:
    xp = module_of(t)
    return xp.sqrt(rate(t) * (0.0 - xp.expm1(4 * log_alpha(t))))

  return Schedule(
    alpha=alpha,
    sigma=sigma,
    log_snr=lambda t: log_ratio(alpha(t), sigma(t)),
    drift=lambda t: -0.5 * rate(t),
    diffusion=diffusion,
    alpha_rate=alpha_rate,
    sigma_rate=lambda t: -2 * alpha(t) * alpha_rate(t),
    first=first,
  )


def ve_schedule(sigma_min: float = 0.01, sigma_max: float = 50.0) -> Schedule:
  """The variance-exploding SDE, whose noise grows geometrically.

  Args:
    sigma_min: the noise at t = 0, too little to be seen.
    sigma_max: the noise at t = 1, in which all data look alike.

  Returns:
    A Schedule with alpha = 1 and sigma = sigma_min (sigma_max / sigma_min)^t; no noise
    at `CLEAN` alone.

  Raises:
    ValueError: if not 0 < sigma_min < sigma_max.

  Reference: Song et al. 2021, eqs. 9 and 29. https://arxiv.org/abs/2011.13456
  """
  if not 0.0 < sigma_min < sigma_max:
    raise ValueError(
      f"the noise needs 0 < sigma_min < sigma_max; got {sigma_min} and {sigma_max}"
    )
  growth = math.log(sigma_max / sigma_min)

  def sigma(t: Time) -> Any:
    xp = module_of(t)
    return xp.where(t < 0, 0.0, sigma_min * xp.exp(growth * xp.clip(t, 0, 1)))

  one = lambda t: module_of(t).ones_like(sigma(t))
  zero = lambda t: module_of(t).zeros_like(sigma(t))
  return Schedule(
    alpha=one,
    sigma=sigma,
    log_snr=lambda t: log_ratio(one(t), sigma(t)),
    drift=zero,
    diffusion=lambda t: sigma(t) * math.sqrt(2 * growth),
    alpha_rate=zero,
    sigma_rate=lambda t: sigma(t) * growth,
  )


def rectified_schedule(*, first: float = 0.0) -> Schedule:
  """The straight path from data to noise: x_t = (1 - t) x_0 + t eps.

  Its velocity eps - x_0 does not change along the path. Noise is at t = 1, as in all
  schedules here; papers on flow matching often count the other way.

  Args:
    first: the time of least noise that is trained on; above 0 if a score is wanted.

  Returns:
    A Schedule with alpha = 1 - t and sigma = t. At t = 1 the drift is infinite.

  Raises:
    ValueError: if not 0 <= first < 1.

  Reference: Liu, Gong, Liu 2023, eq. 1. https://arxiv.org/abs/2209.03003
  """
  if not 0.0 <= first < 1.0:
    raise ValueError(f"first must be in [0, 1); got {first}")
  sigma = lambda t: module_of(t).clip(t, 0.0, 1.0) + 0.0  # a float, not a view
  alpha = lambda t: 1.0 - sigma(t)

  def per_alpha(value: Any, t: Time) -> Any:
    with np.errstate(divide="ignore"):
      return value / module_of(t).asarray(alpha(t))

  return Schedule(
    alpha=alpha,
    sigma=sigma,
    log_snr=lambda t: log_ratio(alpha(t), sigma(t)),
    drift=lambda t: per_alpha(-1.0, t),
    diffusion=lambda t: module_of(t).sqrt(per_alpha(2 * sigma(t), t)),
    alpha_rate=lambda t: -1.0 + 0.0 * sigma(t),
    sigma_rate=lambda t: 1.0 + 0.0 * sigma(t),
    first=first,
  )


def _linear_rate(beta_min: float, beta_max: float, first: float):
  """beta(t), and log(alpha) = -1/2 of its integral from 0."""
  if not 0.0 < beta_min < beta_max:
    raise ValueError(
      f"the rates need 0 < beta_min < beta_max; got {beta_min} and {beta_max}"
    )
  if not 0.0 < first < 1.0:
    raise ValueError(f"first must be in (0, 1); got {first}")

  def rate(t: Time) -> Any:
    return beta_min + module_of(t).clip(t, 0.0, 1.0) * (beta_max - beta_min)

  def log_alpha(t: Time) -> Any:
    t = module_of(t).clip(t, 0.0, 1.0)
    return -0.5 * t * beta_min - 0.25 * t**2 * (beta_max - beta_min)

  return rate, log_alpha
