"""What a network may predict, and how one prediction is turned into another."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jgm.noise.schedule import Schedule, Time, per_example, require_noise

Array = jax.Array
Network = Callable[[Array, Array], Array]  # (x_t [B, ...], t [B]) -> output [B, ...]
Denoiser = Callable[[Array, Array], Array]  # (x_t [B, ...], t [B]) -> x_0_hat [B, ...]
Score = Callable[[Array, Array], Array]  # (x_t [B, ...], t [B]) -> score [B, ...]

PREDICTIONS = ("eps", "x_0", "v", "score", "velocity")


class Prediction(NamedTuple):
  """What a network says about x_t = alpha_t x_0 + sigma_t eps, whatever it predicts."""

  x_0: Array  # [B, ...]
  eps: Array  # [B, ...]


def target(kind: str, truth: Prediction, schedule: Schedule, t: Time) -> Array:
  """What a network of this kind should return, where x_0 and eps are known.

  Args:
    kind: one of `PREDICTIONS`: "eps"; "x_0"; "v" = alpha eps - sigma x_0; "score" =
      -eps / sigma, the gradient of log q(x_t | x_0); "velocity" = dx_t / dt = alpha'
      x_0 + sigma' eps.
    truth: x_0 and eps, each [B, ...] float.
    schedule: what x_t is noised by.
    t: [B] or []. The time of each example.

  Returns:
    [B, ...] float. Property: the inverse of `predict`.

  Raises:
    ValueError: if the kind is not known, or a score is asked for and the schedule
      begins without noise.

  Reference: Salimans & Ho 2022, appendix D, for v; Lipman et al. 2023, eq. 15, for the
  velocity. https://arxiv.org/abs/2202.00512 https://arxiv.org/abs/2210.02747
  """
  check_prediction(kind, schedule)
  x_0, eps = truth
  chex.assert_equal_shape([x_0, eps])
  of = lambda function: per_example(function(t), x_0)
  if kind == "score":
    return -eps / of(schedule.sigma)
  if kind == "v":
    return of(schedule.alpha) * eps - of(schedule.sigma) * x_0
  if kind == "velocity":
    return of(schedule.alpha_rate) * x_0 + of(schedule.sigma_rate) * eps
  return eps if kind == "eps" else x_0


def predict(
  kind: str, output: Array, x_t: Array, schedule: Schedule, t: Time
) -> Prediction:
  """The x_0 and the eps that a network's output stands for.

  Args:
    kind: what the output is: one of `PREDICTIONS`.
    output: [B, ...] float. What the network returned.
    x_t: [B, ...] float. What it was given.
    schedule: what x_t was noised by.
    t: [B] or []. Where there is no noise, nothing can be said about eps by "x_0" or
      "score".

  Returns:
    Prediction with alpha x_0 + sigma eps = x_t. Property: the inverse of `target`.

  Raises:
    ValueError: if the kind is not known, or does not go with the schedule.

  Reference: as `target`.
  """
  check_prediction(kind, schedule)
  chex.assert_equal_shape([output, x_t])
  of = lambda function: per_example(function(t), x_t)
  alpha, sigma = of(schedule.alpha), of(schedule.sigma)
  if kind == "x_0":
    return Prediction(output, (x_t - alpha * output) / sigma)
  if kind in ("v", "velocity"):
    # Both are a second linear equation a x_0 + b eps = output beside that of x_t.
    if kind == "v":
      a, b = -sigma, alpha
    else:
      a, b = of(schedule.alpha_rate), of(schedule.sigma_rate)
    determinant = alpha * b - sigma * a
    x_0 = (b * x_t - sigma * output) / determinant
    return Prediction(x_0, (alpha * output - a * x_t) / determinant)
  eps = output if kind == "eps" else -sigma * output
  return Prediction((x_t - sigma * eps) / alpha, eps)


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
    ValueError: if the kind of prediction is not known or does not go with the schedule,
      or not low < high.
  """
  check_prediction(prediction, schedule)
  if clip is not None and not clip[0] < clip[1]:
    raise ValueError(f"clip=(low, high) needs low < high; got {clip}")

  def denoiser(x_t: Array, t: Array) -> Array:
    x_0_hat = predict(prediction, network(x_t, t), x_t, schedule, t).x_0
    return x_0_hat if clip is None else jnp.clip(x_0_hat, *clip)

  return denoiser


def make_score(denoiser: Denoiser, schedule: Schedule) -> Score:
  """The score that a denoiser stands for: (alpha x_0_hat - x_t) / sigma^2.

  Args:
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...].
    schedule: what x_t was noised by.

  Returns:
    (x_t [B, ...], t [B]) -> the gradient of log q(x_t) [B, ...]. Property: exact where
    x_0_hat is E[x_0 | x_t] (Tweedie's formula).

  Reference: Efron 2011, eq. 2.8; Vincent 2011.
  """

  def score(x_t: Array, t: Array) -> Array:
    alpha, sigma = (
      per_example(schedule.alpha(t), x_t),
      per_example(schedule.sigma(t), x_t),
    )
    return (alpha * denoiser(x_t, t) - x_t) / sigma**2

  return score


def check_prediction(kind: str, schedule: Schedule) -> None:
  """Fails, before anything is compiled, where a schedule leaves a prediction undefined.

  Args:
    kind: one of `PREDICTIONS`.
    schedule: any.

  Raises:
    ValueError: if the kind is not known; if it is the score and there is no noise at
      the first time; or if it is eps or the score and there is no signal at the last.
  """
  if kind not in PREDICTIONS:
    raise ValueError(f"unknown prediction {kind!r}: it is one of {PREDICTIONS}")
  if kind == "score":
    require_noise(schedule, schedule.first)
  if kind in ("eps", "score") and not schedule.alpha(schedule.last) > 0:
    raise ValueError(
      f"{kind!r} says nothing about x_0 where alpha = 0, at the last time of this "
      "schedule: predict 'velocity', 'v' or 'x_0'"
    )
