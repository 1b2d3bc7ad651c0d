"""The probability-flow ODE by Heun's method, on the grid that is asked for."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jgm.noise import Denoiser, Schedule
from jgm.samplers.timesteps import checked_pairs
from jgm.samplers.walk import Trajectory, times_like, walk, weights_like

Array = jax.Array

# alpha / sigma below which u is so large that a step in it, however good its slopes,
# would magnify what is wrong with them: the authors begin at u = 80.
LOST_SIGNAL = 0.01


def heun(
  denoiser: Denoiser,
  schedule: Schedule,
  x_T: Array,
  key: Array | None = None,
  *,
  timesteps: ArrayLike | None = None,
  num_frames: int = 0,
) -> Array | tuple[Array, Trajectory]:
  """Samples by Euler's step to s, taken again with the mean slope of t and s.

  In y = x / alpha and u = sigma / alpha the flow is dy/du = eps_hat, on every path, and
  Euler's step is DDIM's. Where the signal is lost, alpha_t < sigma_t / 100, the step is
  taken in x / sigma and alpha / sigma instead, of which the slope is x_0_hat.

  Args:
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...]; called 2 S - 1 times if the
      steps end at clean data.
    schedule: any.
    x_T: [B, ...] float. Normal noise of the first time, or data noised up to it.
    key: not used: the samples are a function of x_T alone.
    timesteps: [S, 2] rows (t, t_previous), as `timestep_pairs` gives, best spaced by
      "karras"; None: all T of a discrete schedule.
    num_frames: K > 0 also returns K steps of the trajectory.

  Returns:
    [B, ...] float, the samples; with frames, (samples, Trajectory). A step that ends
    where there is no noise is Euler's, x_0_hat. Property: of order 2.

  Raises:
    ValueError: if the timesteps are no chain of the schedule's.

  Reference: Karras et al. 2022, algorithm 1. https://arxiv.org/abs/2206.00364
  """
  del key
  t, s = checked_pairs(timesteps, schedule).T
  x_t_weight = schedule.sigma(s) / schedule.sigma(t)
  x_0_weight = schedule.alpha(s) - x_t_weight * schedule.alpha(t)
  weights = (x_t_weight, x_0_weight, _correction(schedule, t, s, x_0_weight))

  def step(x_t: Array, t: Array, inputs: tuple, _: Array | None):
    s, (x_t_weight, x_0_weight, correction) = inputs
    x_0_hat = denoiser(x_t, t)
    chex.assert_equal_shape([x_0_hat, x_t])
    x_s = x_t_weight * x_t + x_0_weight * x_0_hat

    def corrected(x_s: Array) -> Array:
      x_0_hat_s = denoiser(x_s, jnp.broadcast_to(s, x_s.shape[:1]))
      return x_s + correction * (x_0_hat_s - x_0_hat)

    return jax.lax.cond(correction != 0, corrected, lambda x_s: x_s, x_s), x_0_hat

  inputs = (times_like(x_T, s), weights_like(x_T, weights))
  return walk(step, x_T, t, inputs, num_frames=num_frames)


def _correction(
  schedule: Schedule, t: np.ndarray, s: np.ndarray, x_0_weight: np.ndarray
) -> np.ndarray:
  """What Heun's step adds to Euler's, per difference of the two x_0_hat: [S].

  y_s + (u_s - u_t) / 2 (eps_hat_s - eps_hat_t), written out: the Euler point lies on
  the ray of eps_hat_t, so that only x_0_hat differs.
  """
  alpha_t, sigma_t = schedule.alpha(t), schedule.sigma(t)
  alpha_s, sigma_s = schedule.alpha(s), schedule.sigma(s)
  with np.errstate(divide="ignore", invalid="ignore"):
    correction = 0.5 * alpha_s / sigma_s * (alpha_s * sigma_t / alpha_t - sigma_s)
  is_lost = alpha_t < LOST_SIGNAL * sigma_t
  correction = np.where(is_lost, 0.5 * x_0_weight, correction)
  return np.where(sigma_s > 0, correction, 0.0)
