"""Discrete schedules: DDPM's linear betas, the cosine, and ladders of noise levels."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jgm.noise.schedule import CLEAN, Schedule, Time, TimeFunction, module_of


def linear_beta_schedule(
  num_steps: int, beta_start: float = 1e-4, beta_end: float = 0.02
) -> Schedule:
  """The discrete schedule of DDPM, whose betas grow linearly.

  Args:
    num_steps: T >= 1.
    beta_start: beta of the first of 1000 steps. Betas are multiplied by 1000 / T, so
      that a chain of any length ends at about the same noise.
    beta_end: beta of the last of 1000 steps. No scaled beta exceeds 0.999.

  Returns:
    A variance-preserving Schedule. Property: prod(1 - beta) = alpha^2.

  Raises:
    ValueError: if there are no steps, or not 0 < beta_start <= beta_end < 1.

  Reference: Ho, Jain, Abbeel 2020, section 4. https://arxiv.org/abs/2006.11239
  """
  if not 0.0 < beta_start <= beta_end < 1.0:
    raise ValueError(
      f"betas need 0 < beta_start <= beta_end < 1; got {beta_start} and {beta_end}"
    )
  betas = np.linspace(beta_start, beta_end, _checked_num_steps(num_steps))
  return schedule_from_betas(np.minimum(betas * (1000 / num_steps), 0.999))


def cosine_schedule(
  num_steps: int, *, offset: float = 0.008, normalise: bool = True
) -> Schedule:
  """The discrete cosine schedule of improved DDPM.

  alpha_bar_t = f(t) / f(0), where f(t) = cos^2((t / T + s) / (1 + s) pi / 2).

  Args:
    num_steps: T >= 1.
    offset: s, which keeps the first betas from vanishing. No beta exceeds 0.999.
    normalise: whether to divide by f(0), as the paper does. The first beta then shrinks
      with T: it is below 2 / T, whatever the offset. Undivided, the first step alone
      adds all the noise of f(1), of variance sin^2((1 / T + s) / (1 + s) pi / 2).

  Returns:
    A variance-preserving Schedule.

  Raises:
    ValueError: if there are no steps or the offset is not in [0, inf).

  Reference: Nichol & Dhariwal 2021, eq. 17. https://arxiv.org/abs/2102.09672
  """
  if not 0.0 <= offset < math.inf:
    raise ValueError(f"the offset must be in [0, inf); got {offset}")
  u = np.arange(_checked_num_steps(num_steps) + 1) / num_steps
  alpha_bar = np.cos((u + offset) / (1 + offset) * np.pi / 2) ** 2
  if not normalise:
    alpha_bar[0] = 1.0
  return schedule_from_betas(np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], 0.999))


# The schedules of DDPM and its kin, as a config names them.
DDPM_SCHEDULES: dict[str, Callable[..., Schedule]] = {
  "linear": linear_beta_schedule,
  "cosine": cosine_schedule,
}


def schedule_from_betas(betas: np.ndarray) -> Schedule:
  """The schedule of the chain x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) z.

  Args:
    betas: [T] float64, each in (0, 1). betas[t] belongs to the step that ends at t.

  Returns:
    A variance-preserving Schedule. Property: at `CLEAN`, alpha = 1 and sigma = 0.

  Raises:
    ValueError: if a beta is outside (0, 1).

  Reference: Ho, Jain, Abbeel 2020, eq. 2. https://arxiv.org/abs/2006.11239
  """
  betas = np.asarray(betas, np.float64)
  if betas.ndim != 1 or not np.all((betas > 0) & (betas < 1)):
    raise ValueError(f"betas must be [T] numbers in (0, 1); got {betas}")
  rate = -np.log1p(-betas)
  rate_at = _constant_between(rate)
  # one table, from which sigma comes by expm1: 1 - alpha_bar would cancel in float32
  log_alpha_bar = _linear_between(np.concatenate([[0.0], -np.cumsum(rate)]))

  def alpha(t: Time) -> Any:
    return module_of(t).exp(0.5 * log_alpha_bar(t))

  def variance(t: Time) -> Any:
    return 0.0 - module_of(t).expm1(log_alpha_bar(t))  # and not -0 where there is none

  def sigma(t: Time) -> Any:
    return module_of(t).sqrt(variance(t))

  def log_snr(t: Time) -> Any:
    with np.errstate(divide="ignore"):  # no noise: +inf, as it should be
      return log_alpha_bar(t) - module_of(t).log(variance(t))

  return Schedule(
    alpha=alpha,
    sigma=sigma,
    log_snr=log_snr,
    drift=lambda t: -0.5 * rate_at(t),
    diffusion=lambda t: module_of(t).sqrt(rate_at(t)),
    alpha_rate=lambda t: -0.5 * rate_at(t) * alpha(t),
    sigma_rate=lambda t: 0.5 * rate_at(t) * alpha(t) ** 2 / sigma(t),
    last=len(betas) - 1,
    num_steps=len(betas),
  )


def geometric_schedule(
  num_steps: int, sigma_min: float = 0.01, sigma_max: float = 10.0
) -> Schedule:
  """The ladder of noise levels of NCSN: a geometric sequence, the signal left as it is.

  Args:
    num_steps: the number of levels, L >= 1.
    sigma_min: the noise of t = 0.
    sigma_max: the noise of t = L - 1; about the greatest distance between two examples.

  Returns:
    A variance-exploding Schedule.

  Raises:
    ValueError: if there are no levels, or not 0 < sigma_min < sigma_max.

  Reference: Song & Ermon 2020, technique 1. https://arxiv.org/abs/2006.09011
  """
  if not 0.0 < sigma_min < sigma_max:
    raise ValueError(
      f"levels need 0 < sigma_min < sigma_max; got {sigma_min}, {sigma_max}"
    )
  return schedule_from_sigmas(
    np.geomspace(sigma_min, sigma_max, _checked_num_steps(num_steps))
  )


def schedule_from_sigmas(sigmas: np.ndarray) -> Schedule:
  """The schedule of the chain x_t = x_{t-1} + sqrt(sigma_t^2 - sigma_{t-1}^2) z.

  Args:
    sigmas: [T] float64, growing, the first above 0.

  Returns:
    A variance-exploding Schedule. Property: alpha = 1 at all times.

  Raises:
    ValueError: if the noise does not grow.

  Reference: Song et al. 2021, eq. 8. https://arxiv.org/abs/2011.13456
  """
  sigmas = np.asarray(sigmas, np.float64)
  if sigmas.ndim != 1 or not np.all(np.diff(sigmas, prepend=0.0) > 0):
    raise ValueError(f"sigmas must be [T] growing numbers above 0; got {sigmas}")
  variances = np.concatenate([[0.0], sigmas**2])
  variance = _linear_between(variances)
  rate_at = _constant_between(np.diff(variances))
  sigma = lambda t: module_of(t).sqrt(variance(t))
  zero = lambda t: 0.0 * variance(t)

  def log_snr(t: Time) -> Any:
    with np.errstate(divide="ignore"):
      return 0.0 - module_of(t).log(variance(t))

  return Schedule(
    alpha=lambda t: 1.0 + zero(t),
    sigma=sigma,
    log_snr=log_snr,
    drift=zero,
    diffusion=lambda t: module_of(t).sqrt(rate_at(t)),
    alpha_rate=zero,
    sigma_rate=lambda t: 0.5 * rate_at(t) / sigma(t),
    last=len(sigmas) - 1,
    num_steps=len(sigmas),
  )


def _linear_between(table: np.ndarray) -> TimeFunction:
  """A function of t that is table[t + 1] at -1, 0 .. T-1, and linear in between."""

  def at(t: Time) -> Any:
    xp = module_of(t)
    position = xp.clip(t, CLEAN, len(table) - 2) - CLEAN
    before = xp.floor(position).astype(np.int32)
    after = xp.ceil(position).astype(np.int32)
    values = xp.asarray(table)
    slope = values[after] - values[before]
    return values[before] + (position - before) * slope

  return at


def _constant_between(table: np.ndarray) -> TimeFunction:
  """A function of t that is table[t] on (t - 1, t]."""

  def at(t: Time) -> Any:
    xp = module_of(t)
    step = xp.clip(xp.ceil(t), 0, len(table) - 1).astype(np.int32)
    return xp.asarray(table)[step]

  return at


def _checked_num_steps(num_steps: int) -> int:
  if num_steps < 1:
    raise ValueError(f"a schedule needs num_steps >= 1; got {num_steps}")
  return num_steps
