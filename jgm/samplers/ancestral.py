"""Ancestral sampling: the reverse chain of DDPM, over all its steps or some."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jgm.noise import (
  Denoiser,
  Schedule,
  check_variance,
  learned_log_variance,
  posterior,
)
from jgm.samplers.timesteps import checked_pairs
from jgm.samplers.walk import (
  Draw,
  Step,
  Trajectory,
  Weights,
  linear_walk,
  noise_source,
  walk,
  weights_like,
)

Array = jax.Array


def ancestral(
  denoiser: Denoiser,
  schedule: Schedule,
  x_T: Array,
  key: Array,
  *,
  timesteps: ArrayLike | None = None,
  variance: str = "small",
  noise: Array | None = None,
  num_frames: int = 0,
) -> Array | tuple[Array, Trajectory]:
  """Samples of p(x_s | x_t) = q(x_s | x_t, x_0_hat), step after step.

  Args:
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...]; it clips, if anything does. If
      the variance is "learned", -> (x_0_hat, fraction [B, ...]), see
      `jgm.noise.learned_log_variance`.
    schedule: any.
    x_T: [B, ...] float. Normal noise of the first time, or data noised up to it.
    key: typed key []. Step i draws from fold_in(key, i).
    timesteps: [S, 2] rows (t, t_previous), as `timestep_pairs` gives; None: all T of a
      discrete schedule.
    variance: "small", the posterior's, right where the data are one point; "large",
      that of x_t given x_s, right where they are N(0, I); or "learned", between them.
    noise: [S, B, ...] standard normal, taken instead of what the key would give.
    num_frames: K > 0 also returns K steps of the trajectory.

  Returns:
    [B, ...] float, the samples; with frames, (samples, Trajectory). No noise is added
    by the step that ends at clean data. Property: DDIM with eta = 1 if "small".

  Raises:
    ValueError: if the variance is not known, or the timesteps are no chain of the
      schedule's.

  Reference: Ho, Jain, Abbeel 2020, algorithm 2; Nichol & Dhariwal 2021, eq. 15.
  https://arxiv.org/abs/2006.11239 https://arxiv.org/abs/2102.09672
  """
  check_variance(variance)
  t, s = checked_pairs(timesteps, schedule).T
  if variance != "learned":
    weights = ancestral_weights(schedule, t, s, variance)
    return linear_walk(
      denoiser, x_T, key, t, weights, noise=noise, num_frames=num_frames
    )
  reverse = posterior(schedule, t, s)
  draw = noise_source(key, noise, len(t), x_T)
  step = _learned_step(denoiser, draw)
  inputs = (jnp.arange(len(t)), weights_like(x_T, reverse))
  return walk(step, x_T, t, inputs, num_frames=num_frames)


def ancestral_weights(
  schedule: Schedule, t: np.ndarray, s: np.ndarray, variance: str
) -> Weights:
  """The weights [S] of steps from t [S] to s [S], with the small or large variance."""
  reverse = posterior(schedule, t, s)
  large = np.where(schedule.sigma(s) > 0, reverse.transition_variance, 0.0)
  added = large if variance == "large" else reverse.variance
  return Weights(reverse.x_t_weight, reverse.x_0_weight, np.sqrt(added))


def _learned_step(denoiser: Callable, draw: Draw) -> Step:
  def step(x_t: Array, t: Array, inputs: tuple, _: Array | None):
    index, reverse = inputs
    x_0_hat, fraction = denoiser(x_t, t)
    chex.assert_equal_shape([x_0_hat, fraction, x_t])
    std = jnp.exp(0.5 * learned_log_variance(reverse, fraction))
    std = jnp.where(reverse.variance > 0, std, 0.0)  # clean data: no noise
    x_s = reverse.x_t_weight * x_t + reverse.x_0_weight * x_0_hat
    return x_s + std * draw(index, x_t), x_0_hat

  return step
