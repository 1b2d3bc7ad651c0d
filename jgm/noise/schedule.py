"""What a noise schedule is: x_t = alpha_t x_0 + sigma_t eps, as functions of time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
Time = Any  # [...] a jax array, a numpy array or a number
TimeFunction = Callable[[Time], Any]

CLEAN = -1  # the time of clean data, in every schedule: alpha = 1, sigma = 0


class Schedule(NamedTuple):
  """A noise schedule: functions of t [...] that return [...].

  Of a jax array they are computed in the program, in its precision; of a numpy array or
  a number on the host, in float64: a sampler's coefficients are differences between
  neighbouring times, and are taken there.

  The path solves the SDE dx = drift(t) x dt + diffusion(t) dw. Discrete schedules are
  the same type: their chain is an SDE whose rates are constant between two integers, so
  time may also lie between.
  """

  alpha: TimeFunction  # the scale of the data
  sigma: TimeFunction  # the standard deviation of the noise
  log_snr: TimeFunction  # log(alpha^2 / sigma^2), +inf where there is no noise
  drift: TimeFunction  # f = d log(alpha) / dt
  diffusion: TimeFunction  # g = sqrt(d sigma^2 / dt - 2 f sigma^2)
  alpha_rate: TimeFunction  # d alpha / dt
  sigma_rate: TimeFunction  # d sigma / dt
  first: float = 0.0  # the time of least noise that is trained on
  last: float = 1.0  # the time of most noise, where sampling begins
  # T of a discrete schedule, whose times are 0 .. T-1; None: continuous time
  num_steps: int | None = None


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


def sample_time(schedule: Schedule, key: Array, n: int) -> Array:
  """Times to train at, uniform over the schedule.

  Args:
    schedule: discrete or continuous.
    key: typed key [].
    n: how many.

  Returns:
    [n] int32 in 0 .. T-1 of a discrete schedule; else float32 in [first, last).
  """
  if schedule.num_steps is not None:
    return jax.random.randint(key, (n,), 0, schedule.num_steps)
  return jax.random.uniform(key, (n,), minval=schedule.first, maxval=schedule.last)


def require_noise(schedule: Schedule, t: Time) -> None:
  """Fails where the score is asked for and there is no noise: it is not defined there.

  Args:
    schedule: any.
    t: [...] times, known before compilation.

  Raises:
    ValueError: if sigma is 0 at one of them.
  """
  t = np.asarray(t, np.float64)
  silent = t[np.asarray(schedule.sigma(t)) <= 0]
  if silent.size:
    raise ValueError(
      f"the score was asked for at t = {silent.flat[0]:g}, where sigma = 0: begin at a "
      "later time"
    )


def per_example(value: Any, x: Array) -> Array:
  """A number per example [B], shaped to go with x: [B, 1, ...]; a scalar stays one."""
  value = jnp.asarray(value, x.dtype)
  return value.reshape(value.shape + (1,) * (x.ndim - value.ndim if value.ndim else 0))


def module_of(t: Time) -> Any:
  """numpy for what is computed on the host, jax.numpy for what is in the program."""
  return jnp if isinstance(t, jax.Array) else np


def log_ratio(alpha: Any, sigma: Any) -> Any:
  """log(alpha^2 / sigma^2) [...], infinite where one of them is 0."""
  xp = module_of(sigma)
  with np.errstate(divide="ignore"):
    return 2 * (xp.log(alpha) - xp.log(sigma))
