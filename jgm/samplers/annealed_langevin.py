"""Annealed Langevin dynamics: at each level of noise in turn, down to the least."""

import jax
import numpy as np
import scipy.optimize
from numpy.typing import ArrayLike

from jgm.noise import Denoiser, Schedule
from jgm.samplers.timesteps import checked_pairs
from jgm.samplers.walk import Trajectory, Weights, linear_walk

Array = jax.Array


def annealed_langevin(
  denoiser: Denoiser,
  schedule: Schedule,
  x_T: Array,
  key: Array,
  *,
  timesteps: ArrayLike | None = None,
  steps_per_level: int = 100,
  step_size: float | None = None,
  denoise: bool = True,
  noise: Array | None = None,
  num_frames: int = 0,
) -> Array | tuple[Array, Trajectory]:
  """Samples by x + a / 2 score(x, t) + sqrt(a) z, down a ladder of noise levels.

  a = step_size (sigma_t / sigma_end)^2 at level t, where sigma_end is the last level.

  Args:
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...], which the score comes from.
    schedule: any; made for a ladder of noise levels, as `geometric_schedule` is.
    x_T: [B, ...] float. Any: the first level should forget it.
    key: typed key []. Step i draws from fold_in(key, i), counted over all levels.
    timesteps: [L, 2] rows, the first of each a level t, as `timestep_pairs` gives;
      None: all T of a discrete schedule.
    steps_per_level: M >= 1.
    step_size: a at the last level. At all levels a / sigma^2 is the same. It is twice
      the authors' epsilon. None: as `matched_step_size` has it for these levels.
    denoise: whether x_0_hat of the last x_t is returned, without its noise, and not x_t
      itself.
    noise: [L M, B, ...] standard normal, taken instead of what the key would give; one
      row more, which is not used, with `denoise`.
    num_frames: K > 0 also returns K of the L M steps (one more with `denoise`).

  Returns:
    [B, ...] float, the samples; with frames, (samples, Trajectory). Property: the error
    vanishes as the steps become small and many.

  Raises:
    ValueError: if there are no steps, they are so long that the walk diverges, or the
      timesteps are no chain of the schedule's.

  Reference: Song & Ermon 2019, algorithm 1; Jolicoeur-Martineau et al. 2021, for the
  last step. https://arxiv.org/abs/1907.05600 https://arxiv.org/abs/2009.05475
  """
  if steps_per_level < 1:
    raise ValueError(f"steps_per_level must be at least 1; got {steps_per_level}")
  levels = checked_pairs(timesteps, schedule)[:, 0]
  times = np.repeat(levels, steps_per_level)
  sigma = schedule.sigma(times)
  if step_size is None:
    step_size = matched_step_size(schedule.sigma(levels), steps_per_level)
  pull = 0.5 * step_size / sigma[-1] ** 2  # a / (2 sigma^2)
  if not 0.0 < pull < 2.0:
    raise ValueError(
      f"step_size must be above 0 and below 4 sigma^2 = {4 * sigma[-1] ** 2:g} of the "
      f"last level, where the walk diverges; got {step_size}"
    )
  weights = Weights(
    x_t=np.full(len(times), 1.0 - pull),
    x_0=pull * schedule.alpha(times),
    std=np.sqrt(2.0 * pull) * sigma,
  )
  if denoise:
    times = np.append(times, levels[-1])
    x_t, x_0, std, _ = weights
    weights = Weights(np.append(x_t, 0.0), np.append(x_0, 1.0), np.append(std, 0.0))
  return linear_walk(
    denoiser, x_T, key, times, weights, noise=noise, num_frames=num_frames
  )


def matched_step_size(sigma: ArrayLike, steps_per_level: int) -> float:
  """The step size by which each level of a ladder hands on its own variance.

  Where all data are one point, M steps at a level sigma change the variance of the
  level before, gamma^2 sigma^2, to v sigma^2, with

      v = w + (1 - p)^(2 M) (gamma^2 - w),  w = 1 / (1 - p / 2),  p = a / (2 sigma^2).

  Short steps forget too little of the level before, long ones add too much of their own
  noise; p is where v is nearest to 1, which it is always above.

  Args:
    sigma: [L] the levels in the order they are visited, falling. gamma is the mean
      ratio of two neighbours, the same for all of a geometric ladder.
    steps_per_level: M >= 1.

  Returns:
    a at the last level. Property: half of it is the authors' epsilon; for their ladder
    of 232 levels from 50 to 0.01 and M = 5 it is the 6.2e-6 they report.

  Raises:
    ValueError: if there are not two levels, or the noise does not fall.

  Reference: Song & Ermon 2020, proposition 3 and technique 4.
  https://arxiv.org/abs/2006.09011
  """
  sigma = np.asarray(sigma, np.float64)
  if len(sigma) < 2 or not sigma[0] > sigma[-1] > 0:
    raise ValueError(
      f"a step size is found for two levels or more of falling noise; got {sigma}: "
      "give step_size"
    )
  squared_ratio = (sigma[0] / sigma[-1]) ** (2 / (len(sigma) - 1))

  def variance(p: float) -> float:
    own = 1.0 / (1.0 - 0.5 * p)
    return own + (1.0 - p) ** (2 * steps_per_level) * (squared_ratio - own)

  best = scipy.optimize.minimize_scalar(
    variance, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-9}
  )
  return float(2.0 * best.x * sigma[-1] ** 2)
