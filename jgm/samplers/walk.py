"""The walk from noise to data, of every sampler whose steps are linear.

A step of such a sampler is three numbers: x_s = a x_t + b x_0_hat(x_t, t) + c z. They
are differences between neighbouring times, taken on the host in float64.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jgm.noise import Denoiser

Array = jax.Array


class Weights(NamedTuple):
  """The weights of each step, [S] each, of x_t, of x_0_hat and of the noise."""

  x_t: Any
  x_0: Any
  std: Any


class Trajectory(NamedTuple):
  """How samples arose: K of the steps, evenly spaced, the first and last included."""

  t: Array  # [K] the time before the step
  x_t: Array  # [K, B, ...] the noisy samples before the step
  x_0_hat: Array  # [K, B, ...] what the denoiser made of them


def walk(
  denoiser: Denoiser,
  x_T: Array,
  key: Array,
  times: np.ndarray,
  weights: Weights,
  *,
  num_frames: int = 0,
) -> Array | tuple[Array, Trajectory]:
  """Takes the steps one after another, as one scan.

  Args:
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...].
    x_T: [B, ...] float. The samples at the first time.
    key: typed key []. Step i draws from fold_in(key, i), whatever the sampler.
    times: [S], the time before each step.
    weights: of each step.
    num_frames: K, the number of steps kept as a trajectory.

  Returns:
    [B, ...] float, the samples; with frames, (samples, Trajectory).

  Raises:
    ValueError: if more frames are asked for than there are steps.
  """
  num_steps = len(times)
  if not 0 <= num_frames <= num_steps:
    raise ValueError(f"{num_steps} steps have no {num_frames} frames")
  kept = np.round(np.linspace(0, num_steps - 1, num_frames)).astype(np.int32)
  slots = np.full(num_steps, num_frames, np.int32)  # out of range: not kept
  slots[kept] = np.arange(num_frames)
  blank = [jnp.zeros((num_frames, *x_T.shape), x_T.dtype)] * (2 if num_frames else 0)

  def step(carry: tuple, inputs: tuple) -> tuple[tuple, None]:
    x_t, frames = carry
    index, t, slot, (x_t_weight, x_0_weight, std) = inputs
    x_0_hat = denoiser(x_t, jnp.broadcast_to(t, x_t.shape[:1]))
    chex.assert_equal_shape([x_0_hat, x_t])
    frames = [
      frame.at[slot].set(value, mode="drop")
      for frame, value in zip(frames, (x_t, x_0_hat), strict=False)
    ]
    x_s = x_t_weight * x_t + x_0_weight * x_0_hat
    if noisy:
      x_s += std * jax.random.normal(
        jax.random.fold_in(key, index), x_t.shape, x_t.dtype
      )
    return (x_s, frames), None

  noisy = bool(np.any(weights.std))
  weights = Weights(*(jnp.asarray(weight, x_T.dtype) for weight in weights))
  inputs = (jnp.arange(num_steps), jnp.asarray(times), jnp.asarray(slots), weights)
  (x_0, frames), _ = jax.lax.scan(step, (x_T, blank), inputs)
  return (x_0, Trajectory(jnp.asarray(times[kept]), *frames)) if num_frames else x_0
