"""Guidance: samples of a class, more or less typical of it.

The convention of all that is here, that of Ho & Salimans: **w = 0 is the model as it
is**, and w says how much is added. Others write the scale s = 1 + w, of which 1 is the
conditional model: `from_scale` is the way from there to here.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jgm.noise import Denoiser, Schedule, per_example

Array = jax.Array


def classifier_free(
  conditional: Denoiser, unconditional: Denoiser, w: float | Array
) -> Denoiser:
  """The guided x_0_hat, (1 + w) x_0_hat_c - w x_0_hat_u; for eps it is the same.

  Args:
    conditional: (x_t [B, ...], t [B]) -> x_0_hat [B, ...], of a model that is told the
      class.
    unconditional: the same, of a model that is not.
    w: 0 is the conditional model, above it lies what sets the class apart, -1 is the
      unconditional model. An array [] is taken as it is: one program then serves every
      scale, and whoever gives it has checked it.

  Returns:
    A Denoiser, called once for both; at the numbers w = 0 and -1 the very one it was
    given. What was clipped before may leave its range here: clip what this returns.
    Property: the conditional model at w = 0, bit for bit.

  Raises:
    ValueError: if w is not a finite number, or below -1, where the class would be
      driven away.

  Reference: Ho & Salimans 2022, eq. 6. https://arxiv.org/abs/2207.12598
  """
  if not isinstance(w, Array):
    if not -1.0 <= w < math.inf:
      raise ValueError(
        f"w must be a finite number >= -1, where 0 is the conditional model; got {w}"
      )
    if w in (0.0, -1.0):
      return conditional if w == 0.0 else unconditional

  def guided(x_t: Array, t: Array) -> Array:
    return (1.0 + w) * conditional(x_t, t) - w * unconditional(x_t, t)

  return guided


def classifier_guidance(
  denoiser: Denoiser,
  schedule: Schedule,
  log_prob_of_class: Callable[[Array, Array], Array],
  w: float | Array,
) -> Denoiser:
  """The x_0_hat of a model whose score is raised by w grad log p(class | x_t).

  Args:
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...].
    schedule: with alpha > 0 at all times.
    log_prob_of_class: (x_t [B, ...], t [B]) -> [B] nats, of the class wanted of each
      example, by a classifier of noisy data.
    w: 0 is the denoiser as it is; with 1, an unconditional one becomes the conditional
      one (Bayes' rule). An array [] is taken as it is, as in `classifier_free`.

  Returns:
    A Denoiser, x_0_hat + w sigma^2 / alpha grad log p; at the number w = 0 the very one
    it was given. Property: on Gaussians, the closed form.

  Raises:
    ValueError: if w is negative or not finite, or no signal is left at the last time.

  Reference: Dhariwal & Nichol 2021, eq. 14. https://arxiv.org/abs/2105.05233
  """
  known = not isinstance(w, Array)
  if known and not 0.0 <= w < math.inf:
    raise ValueError(f"w must be a finite number >= 0; got {w}")
  if not schedule.alpha(schedule.last) > 0:
    raise ValueError(
      "a classifier says nothing about x_0 where alpha = 0, at the last time of this "
      "schedule: use classifier_free"
    )
  if known and w == 0.0:
    return denoiser

  def guided(x_t: Array, t: Array) -> Array:
    log_prob, pullback = jax.vjp(lambda x_t: log_prob_of_class(x_t, t), x_t)
    gradient = pullback(jnp.ones_like(log_prob))[0]
    scale = per_example(w * schedule.sigma(t) ** 2 / schedule.alpha(t), x_t)
    return denoiser(x_t, t) + scale * gradient

  return guided


def from_scale(scale: float) -> float:
  """The w of a guidance scale s, in the literature's other convention: s = 1 + w.

  >>> from_scale(1.0)  # the conditional model
  0.0
  >>> from_scale(7.5)
  6.5
  """
  return scale - 1.0
