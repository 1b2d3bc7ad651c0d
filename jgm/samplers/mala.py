"""MALA: Langevin's steps, each accepted or refused so that nothing is biased."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jgm.samplers.langevin import check_steps

Array = jax.Array


def mala(
  log_density: Callable[[Array], Array],
  x: Array,
  key: Array,
  *,
  step_size: float,
  num_steps: int,
) -> tuple[Array, Array]:
  """Samples of a density that is known up to a factor.

  A step proposes y = x + a / 2 score(x) + sqrt(a) z, and goes there with probability
  min(1, p(y) q(x | y) / p(x) q(y | x)).

  Args:
    log_density: x [B, ...] -> [B], of which the gradient is taken.
    x: [B, ...] float. Where each of B independent chains begins.
    key: typed key []. Step i draws from fold_in(key, i).
    step_size: a > 0, the variance of a proposal.
    num_steps: S >= 1.

  Returns:
    [B, ...] float, the ends of the chains, and [B] float, the share of each chain's
    proposals that was accepted. A proposal of no finite density is refused. Property:
    detailed balance; the share goes to 1 as the step size goes to 0.

  Raises:
    ValueError: if the step size is not above 0 or there are no steps.

  Reference: Roberts & Tweedie 1996, section 1.4.2; Besag 1994.
  """
  check_steps(step_size, num_steps)

  def evaluate(x: Array) -> tuple[Array, Array, Array]:
    log_p, pullback = jax.vjp(log_density, x)
    return x, log_p, pullback(jnp.ones_like(log_p))[0]

  def step(here: tuple, index: Array) -> tuple[tuple, Array]:
    key_noise, key_accept = jax.random.split(jax.random.fold_in(key, index))
    x, log_p, score = here
    z = jax.random.normal(key_noise, x.shape, x.dtype)
    there = evaluate(x + 0.5 * step_size * score + step_size**0.5 * z)
    y, log_p_y, score_y = there
    # the noise that would lead back
    z_back = (x - y - 0.5 * step_size * score_y) / step_size**0.5
    log_ratio = log_p_y - log_p + 0.5 * (_squared(z) - _squared(z_back))
    u = jax.random.uniform(key_accept, log_p.shape, log_p.dtype)
    accepted = jnp.log(u) < log_ratio  # never where it is not a number
    choose = lambda new, old: jnp.where(
      accepted.reshape(accepted.shape + (1,) * (new.ndim - 1)), new, old
    )
    return jax.tree.map(choose, there, here), accepted

  (x, _, _), accepted = jax.lax.scan(step, evaluate(x), jnp.arange(num_steps))
  return x, jnp.mean(accepted, axis=0, dtype=x.dtype)


def _squared(x: Array) -> Array:
  return jnp.sum(jnp.square(x), axis=range(1, x.ndim))
