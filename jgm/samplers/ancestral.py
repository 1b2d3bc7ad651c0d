"""Ancestral sampling: the reverse chain of DDPM, over all its steps or some."""

import jax
import numpy as np
from numpy.typing import ArrayLike

from jgm.noise import Denoiser, Schedule, posterior
from jgm.samplers.timesteps import checked_pairs
from jgm.samplers.walk import Trajectory, Weights, walk

Array = jax.Array

VARIANCES = ("small", "large")


def ancestral(
  denoiser: Denoiser,
  schedule: Schedule,
  x_T: Array,
  key: Array,
  *,
  timesteps: ArrayLike | None = None,
  variance: str = "small",
  num_frames: int = 0,
) -> Array | tuple[Array, Trajectory]:
  """Samples of p(x_s | x_t) = q(x_s | x_t, x_0_hat), step after step.

  Args:
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...]; it clips, if anything does.
    schedule: discrete.
    x_T: [B, ...] float. Standard normal noise, or data noised up to the first time.
    key: typed key []. Step i draws from fold_in(key, i).
    timesteps: [S, 2] rows (t, t_previous), as `timestep_pairs` gives; None: all T.
    variance: "small", the posterior's, right where the data are one point; or "large",
      that of x_t given x_s, right where they are N(0, I).
    num_frames: K > 0 also returns K steps of the trajectory.

  Returns:
    [B, ...] float, the samples; with frames, (samples, Trajectory). No noise is added
    by the step that ends at clean data. Property: DDIM with eta = 1 if "small".

  Raises:
    ValueError: if the variance is not known, or the timesteps are no chain of the
      schedule's.

  Reference: Ho, Jain, Abbeel 2020, algorithm 2. https://arxiv.org/abs/2006.11239
  """
  if variance not in VARIANCES:
    raise ValueError(f"unknown variance {variance!r}: it is one of {VARIANCES}")
  t, s = checked_pairs(timesteps, schedule).T
  reverse = posterior(schedule, t, s)
  small, large = reverse.variance, reverse.transition_variance
  noise = np.where(schedule.sigma(s) > 0, large, 0.0) if variance == "large" else small
  weights = Weights(reverse.x_t_weight, reverse.x_0_weight, np.sqrt(noise))
  return walk(denoiser, x_T, key, t, weights, num_frames=num_frames)
