"""The times a sampler visits, as an explicit list of (t, t_previous)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from jgm.noise import CLEAN, Schedule, discrete_steps

INTEGER_SPACINGS = ("linspace", "trailing", "quadratic")
NOISE_SPACINGS = ("log_snr", "karras")
SPACINGS = (*INTEGER_SPACINGS, "uniform", *NOISE_SPACINGS)
FAINTEST_SIGNAL = 1e-3  # alpha / sigma that stands for none, which has no log-SNR
KARRAS_RHO = 7.0


def timestep_pairs(
  schedule: Schedule, num_steps: int, *, spacing: str | None = None
) -> np.ndarray:
  """The steps of a sampler, from the last time of a schedule to clean data.

  Args:
    schedule: any.
    num_steps: S >= 1; over the integers, at most T.
    spacing: over the integers of a discrete schedule, "linspace", evenly from T-1 to 0;
      "trailing", every (T / S)-th time from T-1 on; or "quadratic", finer towards the
      data. Over continuous time, "uniform": S equal steps from last to first, of which
      the final one goes on to clean data. Over both, in fractional times, "log_snr",
      evenly in log(alpha^2 / sigma^2) from last to first; or "karras", evenly in
      (sigma / alpha)^(1/7). None: "linspace" or "uniform".

  Returns:
    [S, 2] int32 or float64, a row (t, t_previous) per step. Where no signal is left at
    the last time, the times of "log_snr" and "karras" are those of a path that begins
    at alpha / sigma = 0.001, but for the first, which is the last time itself.
    Property: each row starts where the one before it ended; the last ends at CLEAN.

  Raises:
    ValueError: if there are no steps, more than T over the integers, the spacing is not
      known or not of this schedule, or the log-SNR is asked for and the schedule begins
      without noise.

  Reference: Song, Meng, Ermon 2021, appendix D.2; Lu et al. 2022, section 3.3; Karras
  et al. 2022, eq. 5. https://arxiv.org/abs/2010.02502 https://arxiv.org/abs/2206.00927
  https://arxiv.org/abs/2206.00364
  """
  if spacing is None:
    spacing = "uniform" if schedule.num_steps is None else "linspace"
  if num_steps < 1:
    raise ValueError(f"a sampler takes at least 1 step; got {num_steps}")
  _check_spacing(spacing, schedule)
  if spacing in NOISE_SPACINGS:
    t = _spaced_by_noise(schedule, num_steps, spacing)
  elif spacing == "uniform":
    i = np.arange(num_steps) / num_steps
    t = schedule.last + (schedule.first - schedule.last) * i
  else:
    t = _integers(discrete_steps(schedule), num_steps, spacing)
  t = np.append(t, np.asarray(CLEAN, t.dtype))
  return np.stack([t[:-1], t[1:]], axis=1)


def checked_pairs(timesteps: ArrayLike | None, schedule: Schedule) -> np.ndarray:
  """The steps asked for, or all of them, once it is known that they make a chain.

  Args:
    timesteps: [S, 2] rows (t, t_previous), known before compilation, which may end at
      any time; None: all T of a discrete schedule.
    schedule: any.

  Returns:
    [S, 2] numpy array, float64 if it is not of integers.

  Raises:
    ValueError: if no steps are given in continuous time, a step does not go down, does
      not start where the one before it ended, leaves the schedule, or starts where
      there is no noise.
  """
  if timesteps is None:
    if schedule.num_steps is None:
      raise ValueError(
        "continuous time has no steps of its own: give timesteps, as "
        "timestep_pairs(schedule, num_steps) makes them"
      )
    return timestep_pairs(schedule, schedule.num_steps)
  pairs = np.asarray(timesteps)
  if pairs.ndim != 2 or pairs.shape[1] != 2 or len(pairs) == 0:
    raise ValueError(f"timesteps must be [S, 2], (t, t_previous); got {pairs.shape}")
  if not np.issubdtype(pairs.dtype, np.integer):
    pairs = pairs.astype(np.float64)
  if not np.all(pairs[:, 1] < pairs[:, 0]) or np.any(pairs[1:, 0] != pairs[:-1, 1]):
    raise ValueError(f"timesteps must go down and follow on each other; got {pairs}")
  if pairs[0, 0] > schedule.last or pairs[-1, 1] < CLEAN:
    raise ValueError(f"timesteps must lie in {CLEAN} .. {schedule.last}; got {pairs}")
  if not np.all(schedule.sigma(pairs[:, 0]) > 0):
    raise ValueError(f"a step starts where there is no noise to take away; got {pairs}")
  return pairs


def _check_spacing(spacing: str, schedule: Schedule) -> None:
  if spacing not in SPACINGS:
    raise ValueError(f"unknown spacing {spacing!r}: it is one of {SPACINGS}")
  own = ("uniform",) if schedule.num_steps is None else INTEGER_SPACINGS
  if spacing not in own + NOISE_SPACINGS:
    kind = "continuous" if schedule.num_steps is None else "discrete"
    raise ValueError(
      f"spacing {spacing!r} is not for {kind} time: take one of {own + NOISE_SPACINGS}"
    )


def _integers(total_steps: int, num_steps: int, spacing: str) -> np.ndarray:
  if num_steps > total_steps:
    raise ValueError(
      f"spacing {spacing!r} takes 1 to {total_steps} steps, the schedule's; got "
      f"{num_steps}: 'log_snr' and 'karras' take any number, between the integers"
    )
  last = total_steps - 1
  if spacing == "linspace":
    t = np.linspace(last, 0, num_steps)
  elif spacing == "trailing":
    t = total_steps * (1 - np.arange(num_steps) / num_steps) - 1
  else:
    # never two steps at the same time: the k-th from the end is at k at least
    lowest = np.arange(num_steps)[::-1]
    t = np.maximum(np.linspace(last**0.5, 0, num_steps) ** 2, lowest)
  return np.round(t).astype(np.int32)


def _spaced_by_noise(schedule: Schedule, num_steps: int, spacing: str) -> np.ndarray:
  highest = float(schedule.log_snr(np.float64(schedule.first)))
  if not np.isfinite(highest):
    raise ValueError(
      f"spacing {spacing!r} needs noise at the first time, which is {schedule.first:g} "
      "here: make the schedule with a later one"
    )
  lowest = float(schedule.log_snr(np.float64(schedule.last)))
  lowest = 2 * np.log(FAINTEST_SIGNAL) if lowest == -np.inf else lowest
  if spacing == "log_snr":
    log_snr = np.linspace(lowest, highest, num_steps)
  else:
    noisiest, clearest = np.exp(-0.5 * np.array([lowest, highest]) / KARRAS_RHO)
    log_snr = -2 * KARRAS_RHO * np.log(np.linspace(noisiest, clearest, num_steps))
  t = _inverse(schedule.log_snr, log_snr, schedule.first, schedule.last)
  t[-1] = schedule.first  # exactly
  t[0] = schedule.last
  return t


def _inverse(
  decreasing: Callable, values: np.ndarray, first: float, last: float
) -> np.ndarray:
  """The arguments in [first, last] where a function has these values, by halving."""
  low, high = np.full(len(values), float(first)), np.full(len(values), float(last))
  for _ in range(80):
    middle = 0.5 * (low + high)
    later = decreasing(middle) > values
    low, high = np.where(later, middle, low), np.where(later, high, middle)
  return 0.5 * (low + high)
