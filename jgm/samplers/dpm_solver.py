"""DPM-Solver++(2M): the probability-flow ODE, of order 2 at one evaluation a step."""

import jax
import numpy as np
from numpy.typing import ArrayLike

from jgm.noise import Denoiser, Schedule
from jgm.samplers.timesteps import checked_pairs
from jgm.samplers.walk import Trajectory, Weights, linear_walk

Array = jax.Array


def dpm_solver(
  denoiser: Denoiser,
  schedule: Schedule,
  x_T: Array,
  key: Array | None = None,
  *,
  timesteps: ArrayLike | None = None,
  num_frames: int = 0,
) -> Array | tuple[Array, Trajectory]:
  """Samples by the two-step method that extrapolates x_0_hat in log-SNR.

  Args:
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...].
    schedule: any.
    x_T: [B, ...] float. Normal noise of the first time, or data noised up to it.
    key: not used: the samples are a function of x_T alone.
    timesteps: [S, 2] rows (t, t_previous), as `timestep_pairs` gives, best spaced by
      "log_snr"; None: all T of a discrete schedule.
    num_frames: K > 0 also returns K steps of the trajectory.

  Returns:
    [B, ...] float, the samples; with frames, (samples, Trajectory). The first step is
    DDIM's, for nothing came before it. So is the last if it ends at clean data, where
    the log-SNR is infinite; if it ends before, it is of order 2 like the rest, however
    few the steps. Property: of order 2.

  Raises:
    ValueError: if the timesteps are no chain of the schedule's.

  Reference: Lu et al. 2022, algorithm 2. https://arxiv.org/abs/2211.01095
  """
  del key
  t, s = checked_pairs(timesteps, schedule).T
  with np.errstate(invalid="ignore"):  # inf - inf, of a single step from noise to data
    h = 0.5 * (schedule.log_snr(s) - schedule.log_snr(t))
  # x_0_hat + (x_0_hat - previous) / 2r, r = h_previous / h; infinite h: of order 1
  extrapolated = np.zeros(len(h))
  finite = np.isfinite(h[1:])
  extrapolated[1:][finite] = 0.5 * h[1:][finite] / h[:-1][finite]
  x_t_weight = schedule.sigma(s) / schedule.sigma(t)
  x_0_weight = schedule.alpha(s) - x_t_weight * schedule.alpha(t)
  weights = Weights(
    x_t=x_t_weight,
    x_0=x_0_weight * (1.0 + extrapolated),
    std=np.zeros(len(h)),
    previous=-x_0_weight * extrapolated,
  )
  return linear_walk(denoiser, x_T, None, t, weights, num_frames=num_frames)
