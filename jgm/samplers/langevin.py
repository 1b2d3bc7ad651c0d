"""Langevin's dynamics in discrete time, without a correction: a score and a key."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Array = jax.Array


def langevin(
  score: Callable[[Array], Array],
  x: Array,
  key: Array,
  *,
  step_size: float,
  num_steps: int,
) -> Array:
  """Samples by x + a / 2 score(x) + sqrt(a) z: the unadjusted Langevin algorithm.

  Args:
    score: x [B, ...] -> the gradient of the log-density [B, ...].
    x: [B, ...] float. Where each of B independent chains begins.
    key: typed key []. Step i draws from fold_in(key, i).
    step_size: a > 0, the variance of a step.
    num_steps: S >= 1.

  Returns:
    [B, ...] float, the ends of the chains. They are biased by the step size: in a
    Gaussian of variance v the chain's own variance is v / (1 - a / 4v). Property: that
    variance; `mala` has no bias.

  Raises:
    ValueError: if the step size is not above 0 or there are no steps.

  Reference: Roberts & Tweedie 1996, section 1.4.1; Welling & Teh 2011, eq. 3.
  """
  check_steps(step_size, num_steps)

  def step(x: Array, index: Array) -> tuple[Array, None]:
    z = jax.random.normal(jax.random.fold_in(key, index), x.shape, x.dtype)
    return x + 0.5 * step_size * score(x) + step_size**0.5 * z, None

  return jax.lax.scan(step, x, jnp.arange(num_steps))[0]


def check_steps(step_size: float, num_steps: int) -> None:
  """Fails, before anything is compiled, on steps that no chain can take."""
  if not step_size > 0.0:
    raise ValueError(f"step_size must be above 0; got {step_size}")
  if num_steps < 1:
    raise ValueError(f"a chain needs num_steps >= 1; got {num_steps}")
