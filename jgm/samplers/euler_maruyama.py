"""The reverse-time SDE by Euler and Maruyama: equal in law to the forward one."""

import jax
import numpy as np
from numpy.typing import ArrayLike

from jgm.noise import Denoiser, Schedule, require_noise
from jgm.samplers.timesteps import checked_pairs
from jgm.samplers.walk import Trajectory, Weights, linear_walk

Array = jax.Array


def euler_maruyama(
  denoiser: Denoiser,
  schedule: Schedule,
  x_T: Array,
  key: Array,
  *,
  timesteps: ArrayLike | None = None,
  noise: Array | None = None,
  num_frames: int = 0,
) -> Array | tuple[Array, Trajectory]:
  """Samples by x_s = x_t - h (f x_t - g^2 score(x_t, t)) + g sqrt(h) z, h = t - s.

  Args:
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...], which the score comes from.
    schedule: any whose drift f is finite at the times visited.
    x_T: [B, ...] float. Normal noise of the first time, or data noised up to it.
    key: typed key []. Step i draws from fold_in(key, i).
    timesteps: [S, 2] rows (t, t_previous), as `timestep_pairs` gives; None: all T of a
      discrete schedule.
    noise: [S, B, ...] standard normal, taken instead of what the key would give.
    num_frames: K > 0 also returns K steps of the trajectory.

  Returns:
    [B, ...] float, the samples; with frames, (samples, Trajectory). A step that ends
    where there is no noise is no Euler step, but x_0_hat itself. Property: of strong
    order 1, since the noise is additive.

  Raises:
    ValueError: if the timesteps are no chain of the schedule's, or the drift is
      infinite at one of them, as it is at t = 1 of the straight path.

  Reference: Anderson 1982; Song et al. 2021, eq. 6. https://arxiv.org/abs/2011.13456
  """
  t, s = checked_pairs(timesteps, schedule).T
  weights = euler_maruyama_weights(schedule, t, s)
  return linear_walk(denoiser, x_T, key, t, weights, noise=noise, num_frames=num_frames)


def euler_maruyama_weights(schedule: Schedule, t: np.ndarray, s: np.ndarray) -> Weights:
  """The weights [S] of steps from t [S] to s [S]; errors as `euler_maruyama`."""
  require_noise(schedule, t)
  f, g, sigma = schedule.drift(t), schedule.diffusion(t), schedule.sigma(t)
  if not np.all(np.isfinite(f)):
    raise ValueError(
      f"the drift is infinite at t = {t[~np.isfinite(f)][0]:g}: begin below, with x_T "
      "noised up to there"
    )
  h, clean = t - s, schedule.sigma(s) <= 0
  pull = h * g**2 / sigma**2
  return Weights(
    x_t=np.where(clean, 0.0, 1.0 - h * f - pull),
    x_0=np.where(clean, 1.0, pull * schedule.alpha(t)),
    std=np.where(clean, 0.0, g * np.sqrt(h)),
  )
