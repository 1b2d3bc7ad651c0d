"""Noise schedules x_t = alpha_t x_0 + sigma_t eps, and eps <-> x_0 <-> v <-> score.

A schedule is a few functions of time. Discrete ones are the same type: their chain is a
diffusion whose rate is constant between two integers, so time may also lie between.

Everything here takes alpha and sigma, of any schedule: where a formula needs to compare
two times it does so by their log-SNR, which neither cancels nor assumes that the
variance is preserved.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
Time = Any  # [...] a jax array, a numpy array or a number
TimeFunction = Callable[[Time], Any]
Network = Callable[[Array, Array], Array]  # (x_t [B, ...], t [B]) -> output [B, ...]
Denoiser = Callable[[Array, Array], Array]  # (x_t [B, ...], t [B]) -> x_0_hat [B, ...]

CLEAN = -1  # the time of clean data in a discrete schedule
PREDICTIONS = ("eps", "x_0", "v", "score")


class Schedule(NamedTuple):
  """A noise schedule: functions of t [...] that return [...].

  Of a jax array they are computed in the program, in its precision; of a numpy array or
  a number on the host, in float64: a sampler's coefficients are differences between
  neighbouring times, and are taken there.

  The path solves dx = drift(t) x dt + diffusion(t) dw.
  """

  alpha: TimeFunction  # the scale of the data
  sigma: TimeFunction  # the standard deviation of the noise
  log_snr: TimeFunction  # log(alpha^2 / sigma^2), +inf where there is no noise
  drift: TimeFunction  # d log(alpha) / dt
  diffusion: TimeFunction  # sqrt(d sigma^2 / dt - 2 drift sigma^2)
  # T of a discrete schedule, whose times are 0 .. T-1 and CLEAN; None: continuous time
  num_steps: int | None = None


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


def cosine_schedule(num_steps: int, *, offset: float = 0.008) -> Schedule:
  """The discrete cosine schedule of improved DDPM.

  Args:
    num_steps: T >= 1.
    offset: s, which keeps the first betas from vanishing. No beta exceeds 0.999.

  Returns:
    A variance-preserving Schedule.

  Raises:
    ValueError: if there are no steps.

  Reference: Nichol & Dhariwal 2021, eq. 17. https://arxiv.org/abs/2102.09672
  """
  u = np.arange(_checked_num_steps(num_steps) + 1) / num_steps
  alpha_bar = np.cos((u + offset) / (1 + offset) * np.pi / 2) ** 2
  return schedule_from_betas(np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], 0.999))


def schedule_from_betas(betas: np.ndarray) -> Schedule:
  """The schedule of the chain x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) z.

  Args:
    betas: [T] float64, each in (0, 1). betas[t] belongs to the step that ends at t.

  Returns:
    A variance-preserving Schedule. Property: at `CLEAN`, alpha = 1 and sigma = 0.

  Raises:
    ValueError: if a beta is outside (0, 1).

  Reference: Ho, Jain, Abbeel 2020, eq. 4. https://arxiv.org/abs/2006.11239
  """
  betas = np.asarray(betas, np.float64)
  if betas.ndim != 1 or not np.all((betas > 0) & (betas < 1)):
    raise ValueError(f"betas must be [T] numbers in (0, 1); got {betas}")
  rate = -np.log1p(-betas)
  # one table, from which sigma comes by expm1: 1 - alpha_bar would cancel in float32
  table = np.concatenate([[0.0], -np.cumsum(rate)])

  def log_alpha_bar(t: Time) -> Any:  # linear between two integers
    xp = _module(t)
    position = xp.clip(t, CLEAN, len(betas) - 1) - CLEAN
    before = xp.floor(position).astype(np.int32)
    after = xp.ceil(position).astype(np.int32)
    values = xp.asarray(table)
    slope = values[after] - values[before]
    return values[before] + (position - before) * slope

  def variance(t: Time) -> Any:
    return 0.0 - _module(t).expm1(log_alpha_bar(t))  # and not -0 where there is none

  def log_snr(t: Time) -> Any:
    with np.errstate(divide="ignore"):  # no noise: +inf, as it should be
      return log_alpha_bar(t) - _module(t).log(variance(t))

  def rate_at(t: Time) -> Any:  # the rate is constant on (t - 1, t]
    xp = _module(t)
    step = xp.clip(xp.ceil(t), 0, len(betas) - 1).astype(np.int32)
    return xp.asarray(rate)[step]

  return Schedule(
    alpha=lambda t: _module(t).exp(0.5 * log_alpha_bar(t)),
    sigma=lambda t: _module(t).sqrt(variance(t)),
    log_snr=log_snr,
    drift=lambda t: -0.5 * rate_at(t),
    diffusion=lambda t: _module(t).sqrt(rate_at(t)),
    num_steps=len(betas),
  )


def discrete_steps(schedule: Schedule) -> int:
  """The number of steps T of a discrete schedule.

  Args:
    schedule: any.

  Returns:
    T.

  Raises:
    ValueError: if its time is continuous.
  """
  if schedule.num_steps is None:
    raise ValueError("a discrete schedule is needed here: this one has no num_steps")
  return schedule.num_steps


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
  gap = schedule.log_snr(t) - schedule.log_snr(s)
  ratio, rest = _module(gap).exp(gap), -_module(gap).expm1(gap)
  return Posterior(
    x_t_weight=schedule.alpha(s) / schedule.alpha(t) * ratio,
    x_0_weight=schedule.alpha(s) * rest,
    variance=schedule.sigma(s) ** 2 * rest,
    transition_variance=schedule.sigma(t) ** 2 * rest,
  )


class Prediction(NamedTuple):
  """What a network says about x_t = alpha_t x_0 + sigma_t eps, whatever it predicts."""

  x_0: Array  # [B, ...]
  eps: Array  # [B, ...]


def predict(
  kind: str, output: Array, x_t: Array, alpha: Array, sigma: Array
) -> Prediction:
  """The x_0 and the eps that a network's output stands for.

  Args:
    kind: what the output is: one of `PREDICTIONS`.
    output: [B, ...] float. What the network returned.
    x_t: [B, ...] float. What it was given.
    alpha: [B] or []. The schedule's, at the time of each example.
    sigma: [B] or []. Where 0, nothing can be said about eps by "x_0" or "score".

  Returns:
    Prediction with alpha x_0 + sigma eps = x_t. Property: the inverse of `target`.

  Raises:
    ValueError: if the kind is not known.

  Reference: Salimans & Ho 2022, appendix D, for v. https://arxiv.org/abs/2202.00512
  """
  _check_kind(kind)
  chex.assert_equal_shape([output, x_t])
  alpha, sigma = per_example(alpha, x_t), per_example(sigma, x_t)
  if kind == "x_0":
    return Prediction(output, (x_t - alpha * output) / sigma)
  if kind == "v":
    power = alpha**2 + sigma**2
    x_0 = (alpha * x_t - sigma * output) / power
    return Prediction(x_0, (sigma * x_t + alpha * output) / power)
  eps = output if kind == "eps" else -sigma * output
  return Prediction((x_t - sigma * eps) / alpha, eps)


def target(kind: str, truth: Prediction, alpha: Array, sigma: Array) -> Array:
  """What a network of this kind should return, where x_0 and eps are known.

  Args:
    kind: one of `PREDICTIONS`: "eps", "x_0", "v" = alpha eps - sigma x_0, or "score" =
      -eps / sigma, the gradient of log q(x_t | x_0).
    truth: x_0 and eps, each [B, ...] float.
    alpha: [B] or []. The schedule's, at the time of each example.
    sigma: [B] or [].

  Returns:
    [B, ...] float. Property: the inverse of `predict`.

  Raises:
    ValueError: if the kind is not known, or a score is asked for where sigma is 0 (told
      apart only where sigma is known before compilation).

  Reference: Salimans & Ho 2022, appendix D, for v. https://arxiv.org/abs/2202.00512
  """
  _check_kind(kind)
  x_0, eps = truth
  chex.assert_equal_shape([x_0, eps])
  if kind == "score":
    return -eps / per_example(with_noise(sigma), eps)
  if kind == "v":
    return per_example(alpha, eps) * eps - per_example(sigma, x_0) * x_0
  return eps if kind == "eps" else x_0


def make_denoiser(
  network: Network,
  schedule: Schedule,
  prediction: str,
  *,
  clip: tuple[float, float] | None = None,
) -> Denoiser:
  """The estimate of x_0 that samplers ask for, of a network that predicts anything.

  Args:
    network: (x_t [B, ...], t [B]) -> [B, ...], what `prediction` says.
    schedule: what x_t was noised by.
    prediction: one of `PREDICTIONS`.
    clip: (low, high) that x_0_hat is clipped to, the range of the data; None: no clip.

  Returns:
    (x_t [B, ...], t [B]) -> x_0_hat [B, ...].

  Raises:
    ValueError: if the kind of prediction is not known, or not low < high.
  """
  _check_kind(prediction)
  if clip is not None and not clip[0] < clip[1]:
    raise ValueError(f"clip=(low, high) needs low < high; got {clip}")

  def denoiser(x_t: Array, t: Array) -> Array:
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    x_0_hat = predict(prediction, network(x_t, t), x_t, alpha, sigma).x_0
    return x_0_hat if clip is None else jnp.clip(x_0_hat, *clip)

  return denoiser


def with_noise(sigma: Any) -> Any:
  """sigma itself, once it is known that a score exists there.

  Args:
    sigma: [...] float >= 0. Checked where it is known before compilation.

  Returns:
    sigma.

  Raises:
    ValueError: if a sigma is 0: the score of noiseless data is not defined.
  """
  if not isinstance(sigma, jax.core.Tracer) and not np.all(np.asarray(sigma) > 0):
    raise ValueError("the score was asked for at a time where sigma = 0")
  return sigma


def per_example(value: Any, x: Array) -> Array:
  """A number per example [B], shaped to go with x: [B, 1, ...]; a scalar stays one."""
  value = jnp.asarray(value, x.dtype)
  return value.reshape(value.shape + (1,) * (x.ndim - value.ndim if value.ndim else 0))


def _check_kind(kind: str) -> None:
  if kind not in PREDICTIONS:
    raise ValueError(f"unknown prediction {kind!r}: it is one of {PREDICTIONS}")


def _checked_num_steps(num_steps: int) -> int:
  if num_steps < 1:
    raise ValueError(f"a schedule needs num_steps >= 1; got {num_steps}")
  return num_steps


def _module(t: Time) -> Any:
  return jnp if isinstance(t, jax.Array) else np
