"""DDIM: as many steps as are asked for, as much noise as is asked for."""

import jax
import numpy as np
from numpy.typing import ArrayLike

from jgm.noise import Denoiser, Schedule
from jgm.samplers.timesteps import checked_pairs
from jgm.samplers.walk import Trajectory, Weights, linear_walk

Array = jax.Array


def ddim(
  denoiser: Denoiser,
  schedule: Schedule,
  x_T: Array,
  key: Array,
  *,
  timesteps: ArrayLike | None = None,
  eta: float = 0.0,
  noise: Array | None = None,
  num_frames: int = 0,
) -> Array | tuple[Array, Trajectory]:
  """Samples by x_s = alpha_s x_0_hat + sqrt(sigma_s^2 - std^2) eps_hat + std z.

  Args:
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...]. eps_hat is what x_t leaves of
      it, so that clipping goes into both.
    schedule: any. With eta = 0 on the straight path, these are Euler's steps along the
      velocity.
    x_T: [B, ...] float. Normal noise of the first time, or data noised up to it.
    key: typed key []. Step i draws from fold_in(key, i).
    timesteps: [S, 2] rows (t, t_previous), as `timestep_pairs` gives; None: all T of a
      discrete schedule.
    eta: in [0, 1]: std = eta times the posterior's standard deviation. With 0
      the samples are a function of x_T alone.
    noise: [S, B, ...] standard normal, taken instead of what the key would give.
    num_frames: K > 0 also returns K steps of the trajectory.

  Returns:
    [B, ...] float, the samples; with frames, (samples, Trajectory). Property: ancestral
    sampling with the small variance if eta = 1; of order 1 if eta = 0.

  Raises:
    ValueError: if eta is outside [0, 1], or the timesteps are no chain of the
      schedule's.

  Reference: Song, Meng, Ermon 2021, eqs. 12 and 16. https://arxiv.org/abs/2010.02502
  """
  if not 0.0 <= eta <= 1.0:
    raise ValueError(f"eta must be in [0, 1]; got {eta}")
  t, s = checked_pairs(timesteps, schedule).T
  # std^2 = eta^2 sigma_s^2 (1 - ratio), and what it leaves of sigma_s^2
  ratio = np.exp(schedule.log_snr(t) - schedule.log_snr(s))
  kept = schedule.sigma(s) * np.sqrt(1.0 - eta**2 * (1.0 - ratio))
  x_t_weight = kept / schedule.sigma(t)
  weights = Weights(
    x_t=x_t_weight,
    x_0=schedule.alpha(s) - x_t_weight * schedule.alpha(t),
    std=eta * schedule.sigma(s) * np.sqrt(1.0 - ratio),
  )
  return linear_walk(denoiser, x_T, key, t, weights, noise=noise, num_frames=num_frames)
