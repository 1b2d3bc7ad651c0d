"""The walk from noise to data: one scan over the steps of any sampler.

A step of most samplers is linear, a few numbers: x_s = a x_t + b x_0_hat(x_t, t) + c z.
They are differences between neighbouring times, taken on the host in float64.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jgm.noise import Denoiser

Array = jax.Array
# (x_t [B, ...], t [B], its inputs, the x_0_hat of the step before) -> x_s, x_0_hat
Step = Callable[[Array, Array, Any, Array | None], tuple[Array, Array]]
Draw = Callable[[Array, Array], Array]  # (index [], x [B, ...]) -> noise [B, ...]


class Weights(NamedTuple):
  """The weights of each step, [S] each."""

  x_t: Any
  x_0: Any  # of x_0_hat
  std: Any  # of the noise
  previous: Any = None  # of the x_0_hat of the step before, in methods of two steps


class Trajectory(NamedTuple):
  """How samples arose: K of the steps, evenly spaced, the first and last included."""

  t: Array  # [K] the time before the step
  x_t: Array  # [K, B, ...] the noisy samples before the step
  x_0_hat: Array  # [K, B, ...] what the denoiser made of them


def linear_walk(
  denoiser: Denoiser,
  x_T: Array,
  key: Array | None,
  times: np.ndarray,
  weights: Weights,
  *,
  noise: Array | None = None,
  num_frames: int = 0,
) -> Array | tuple[Array, Trajectory]:
  """Takes steps that are linear in x_t, x_0_hat and the noise.

  Args:
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...].
    x_T: [B, ...] float. The samples at the first time.
    key: typed key []. Step i draws from fold_in(key, i), whatever the sampler.
    times: [S], the time before each step.
    weights: of each step.
    noise: [S, B, ...], taken instead of what the key would give.
    num_frames: K, the number of steps kept as a trajectory.

  Returns:
    [B, ...] float, the samples; with frames, (samples, Trajectory).

  Raises:
    ValueError: if more frames are asked for than there are steps.
  """
  noisy, two_step = bool(np.any(weights.std)), weights.previous is not None
  draw = noise_source(key, noise, len(times), x_T) if noisy else None

  def step(x_t: Array, t: Array, inputs: tuple, previous: Array | None):
    index, weight = inputs
    x_0_hat = denoiser(x_t, t)
    chex.assert_equal_shape([x_0_hat, x_t])
    x_s = weight.x_t * x_t + weight.x_0 * x_0_hat
    if two_step:
      x_s += weight.previous * previous
    if draw:
      x_s += weight.std * draw(index, x_t)
    return x_s, x_0_hat

  inputs = (jnp.arange(len(times)), weights_like(x_T, weights))
  return walk(step, x_T, times, inputs, remember=two_step, num_frames=num_frames)


def walk(
  step: Step,
  x_T: Array,
  times: np.ndarray,
  inputs: Any,
  *,
  remember: bool = False,
  num_frames: int = 0,
) -> Array | tuple[Array, Trajectory]:
  """Takes steps one after another, as one scan.

  Args:
    step: see `Step`.
    x_T: [B, ...] float. The samples at the first time.
    times: [S], the time before each step.
    inputs: a pytree with leaves [S, ...], a row of which goes to each step.
    remember: whether a step is given the x_0_hat of the one before; zeros at first.
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

  def body(carry: tuple, row: tuple) -> tuple[tuple, None]:
    x_t, previous, frames = carry
    t, slot, step_inputs = row
    x_s, x_0_hat = step(x_t, jnp.broadcast_to(t, x_t.shape[:1]), step_inputs, previous)
    frames = [
      frame.at[slot].set(value, mode="drop")
      for frame, value in zip(frames, (x_t, x_0_hat), strict=False)
    ]
    return (x_s, x_0_hat if remember else None, frames), None

  start = (x_T, jnp.zeros_like(x_T) if remember else None, blank)
  t = times_like(x_T, times)
  (x_0, _, frames), _ = jax.lax.scan(body, start, (t, jnp.asarray(slots), inputs))
  return (x_0, Trajectory(t[kept], *frames)) if num_frames else x_0


def noise_source(
  key: Array | None, noise: Array | None, num_draws: int, x: Array
) -> Draw:
  """Where the noise of a walk comes from: drawn by a key, or given.

  Args:
    key: typed key []. Draw i is from fold_in(key, i); not used where noise is given.
    noise: [N, B, ...] or None.
    num_draws: N.
    x: [B, ...], what the noise must look like.

  Returns:
    (index [], x [B, ...]) -> [B, ...], standard normal noise.

  Raises:
    ValueError: if there is neither.
  """
  if noise is not None:
    chex.assert_shape(noise, (num_draws, *x.shape))
    return lambda index, x: jnp.asarray(noise, x.dtype)[index]
  if key is None:
    raise ValueError("a sampler that adds noise needs a key")
  return lambda index, x: jax.random.normal(
    jax.random.fold_in(key, index), x.shape, x.dtype
  )


def times_like(x: Array, times: np.ndarray) -> Array:
  """Times [S] as a denoiser is given them: integers, or floats as precise as x."""
  if np.issubdtype(np.asarray(times).dtype, np.integer):
    return jnp.asarray(times)
  return jnp.asarray(times, jnp.promote_types(x.dtype, jnp.float32))


def weights_like(x: Array, weights: Any) -> Any:
  """Numbers from the host, in the precision of x."""
  return jax.tree.map(lambda weight: jnp.asarray(weight, x.dtype), weights)
