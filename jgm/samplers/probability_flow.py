"""The probability-flow ODE, with steps as long as a tolerance allows."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jgm.noise import Denoiser, Schedule
from jgm.samplers.flow_ode import checked_interval, flow_coefficients, solve_flow
from jgm.samplers.walk import Trajectory, times_like

Array = jax.Array


def probability_flow(
  denoiser: Denoiser,
  schedule: Schedule,
  x_T: Array,
  key: Array | None = None,
  *,
  start: float | None = None,
  end: float | None = None,
  rtol: float = 1e-5,
  atol: float = 1e-5,
  denoise: bool = True,
  max_steps: int = 4096,
  num_frames: int = 0,
  with_evaluations: bool = False,
) -> Any:
  """Samples by the ODE dx/dt = alpha' x_0_hat + sigma' eps_hat, followed back in time.

  Args:
    denoiser: (x_t [B, ...], t [B] float) -> x_0_hat [B, ...]. In discrete schedules it
      is asked between the integers too.
    schedule: any. The rates of discrete ones jump at each integer, which costs steps.
    x_T: [B, ...] float. Normal noise of the time `start`, or data noised up to it.
    key: not used: the samples are a function of x_T alone.
    start: None: the schedule's last time.
    end: None: its first time, at which there must be noise.
    rtol: the relative error allowed in a step, of each example.
    atol: the absolute one.
    denoise: whether x_0_hat of the end is returned, and not x_t of the end.
    max_steps: it is an error at run time to need more.
    num_frames: K > 0 also returns the trajectory at K times, evenly from start to end.
    with_evaluations: whether to return how often the denoiser was called, too.

  Returns:
    [B, ...] float, the samples; or a tuple of the samples, the Trajectory if there are
    frames, and the evaluations, [] int32, if asked for. Property: the error goes to 0
    with the tolerance.

  Raises:
    ValueError: if not end < start, they lie outside the schedule, there is no noise at
      the end, or the frames are negative.

  Reference: Song et al. 2021, eq. 13. https://arxiv.org/abs/2011.13456
  """
  del key
  low, high = checked_interval(schedule, end, start)
  if num_frames < 0:
    raise ValueError(f"num_frames must be at least 0; got {num_frames}")

  def field(t: Array, x_t: Array) -> Array:
    x_0_hat = denoiser(x_t, jnp.broadcast_to(t, x_t.shape[:1]))
    chex.assert_equal_shape([x_0_hat, x_t])
    a, b = flow_coefficients(schedule, t)
    return a * x_t + b * x_0_hat

  t = times_like(x_T, np.linspace(high, low, num_frames)) if num_frames else None
  x, frames, evaluations = solve_flow(
    field, x_T, high, low, rtol=rtol, atol=atol, max_steps=max_steps, frames=t
  )
  estimate = lambda x, t: denoiser(x, jnp.broadcast_to(t, x.shape[:1]))
  results: list[Any] = [estimate(x, times_like(x, np.asarray(low))) if denoise else x]
  if t is not None:
    x_0_hat = jax.lax.map(lambda frame: estimate(*frame), (frames, t))
    results.append(Trajectory(t, frames, x_0_hat))
  if with_evaluations:
    results.append(evaluations + denoise)
  return tuple(results) if len(results) > 1 else results[0]
