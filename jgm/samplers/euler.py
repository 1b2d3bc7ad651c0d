"""Euler's steps along a velocity, and how far from straight its paths are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

Array = jax.Array
Velocity = Callable[[Array, Array], Array]  # (x_t [B, ...], t [B]) -> dx_t / dt


class Flow(NamedTuple):
  """Where Euler's steps ended, and what the way was like."""

  x_0: Array  # [B, ...] the samples
  energy: Array  # [B] the mean of ||v||^2 along the path
  bending: Array  # [B] the mean of ||v - (x_1 - x_0)||^2, zero for a straight path


def euler(velocity: Velocity, x_1: Array, num_steps: Any) -> Flow:
  """Follows a velocity from t = 1, noise, down to t = 0, data, in equal steps.

  On the straight path DDIM takes the same steps, which it must know before compilation.
  Here their number is an argument of the program, so that quality can be measured
  against it without compiling anew.

  Args:
    velocity: (x_t [B, ...], t [B]) -> [B, ...], dx_t / dt.
    x_1: [B, ...] float. Noise.
    num_steps: S, an int or an int32 [].

  Returns:
    Flow. The expectation of `bending` is the straightness S(Z) of the paper, with the
    integral over t as a sum over the steps. Property: of a straight flow it is 0, and
    one step ends where many do.

  Reference: Liu, Gong, Liu 2023, section 2.2. https://arxiv.org/abs/2209.03003
  """
  axes = range(1, x_1.ndim)

  def step(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
    x_t, energy = carry
    v = velocity(x_t, jnp.full(len(x_t), 1 - i / num_steps, x_1.dtype))
    chex.assert_equal_shape([v, x_t])
    return x_t - v / num_steps, energy + jnp.sum(v**2, axis=axes) / num_steps

  start = (x_1, jnp.zeros(len(x_1), x_1.dtype))
  x_0, energy = jax.lax.fori_loop(0, num_steps, step, start)
  # x_1 - x_0 is the mean velocity, so what is left of the energy is its variance
  bending = energy - jnp.sum((x_1 - x_0) ** 2, axis=axes)
  return Flow(x_0, energy, jnp.maximum(bending, 0.0))


def euler_path(velocity: Velocity, x_1: Array, num_steps: int) -> Array:
  """Where the steps of `euler` lead, one after another.

  Args:
    velocity: as `euler` has it.
    x_1: [B, ...] float. Noise.
    num_steps: S, known before compilation.

  Returns:
    [S + 1, B, ...], from x_1 to x_0. Property: its end is that of `euler`.
  """

  def step(x_t: Array, t: Array) -> tuple[Array, Array]:
    x_s = x_t - velocity(x_t, jnp.full(len(x_t), t)) / num_steps
    return x_s, x_s

  t = 1 - jnp.arange(num_steps, dtype=x_1.dtype) / num_steps
  return jnp.concatenate([x_1[None], jax.lax.scan(step, x_1, t)[1]])
