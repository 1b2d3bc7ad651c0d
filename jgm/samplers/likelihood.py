"""The log-density of data under the probability-flow ODE."""

import math
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from jgm.noise import Denoiser, Schedule
from jgm.samplers.flow_ode import checked_interval, flow_coefficients, solve_flow

Array = jax.Array

TRACES = ("hutchinson", "exact")


def flow_log_prob(
  denoiser: Denoiser,
  schedule: Schedule,
  x: Array,
  key: Array | None = None,
  *,
  trace: str = "hutchinson",
  num_probes: int = 1,
  rtol: float = 1e-5,
  atol: float = 1e-5,
  start: float | None = None,
  end: float | None = None,
  log_prior: Callable[[Array], Array] | None = None,
  max_steps: int = 4096,
  with_evaluations: bool = False,
) -> Array | tuple[Array, Array]:
  """log p(x) in nats per example, where p is what the flow makes of the prior.

  By the instantaneous change of variables, along x's own way to the noise. It is the
  density at the time `start`, where data have a little noise.

  Args:
    denoiser: (x_t [B, ...], t [B] float) -> x_0_hat [B, ...], differentiable.
    schedule: any. The rates of discrete ones jump at each integer, which costs steps.
    x: [B, ...] float. Data, at the time `start`.
    key: typed key [], from which the probes are drawn; None if the trace is exact.
    trace: of the Jacobian: "hutchinson", estimated without bias from random signs that
      stay the same all along the way; or "exact", at the cost of one gradient for each
      of the D numbers of an example.
    num_probes: the number of Hutchinson's estimates that are averaged.
    rtol: the relative error allowed in a step, of each example.
    atol: the absolute one.
    start: None: the schedule's first time, at which there must be noise.
    end: None: its last time.
    log_prior: x_T [B, ...] -> [B] nats, the log-density of the noise at `end`; None:
      N(0, alpha^2 + sigma^2), right if the data have mean 0 and variance 1, or if there
      is far more noise than data.
    max_steps: it is an error at run time to need more.
    with_evaluations: whether to return how often the denoiser was called, too.

  Returns:
    [B] float; or that and the evaluations, [] int32. Property: the exact log-density
    of a Gaussian mixture.

  Raises:
    ValueError: if the trace is not known, there is no probe or no key for one, or as
      `jgm.samplers.probability_flow`.

  Reference: Song et al. 2021, eq. 39; Grathwohl et al. 2019, eq. 8.
  https://arxiv.org/abs/2011.13456 https://arxiv.org/abs/1810.01367
  """
  low, high = checked_interval(schedule, start, end)
  directions, scale = _directions(x, key, trace, num_probes)

  def field(t: Array, y: tuple[Array, Array]) -> tuple[Array, Array]:
    x_t, times = y[0], jnp.broadcast_to(t, y[1].shape)
    x_0_hat, pullback = jax.vjp(lambda x_t: denoiser(x_t, times), x_t)
    chex.assert_equal_shape([x_0_hat, x_t])
    along = lambda v: jnp.sum(v * pullback(v)[0], axis=range(1, x.ndim))
    jacobian_trace = scale * jnp.sum(jax.vmap(along)(directions), axis=0)
    a, b = flow_coefficients(schedule, t)
    return a * x_t + b * x_0_hat, a * math.prod(x.shape[1:]) + b * jacobian_trace

  y = (x, jnp.zeros(x.shape[:1], x.dtype))
  (x_T, divergence), _, evaluations = solve_flow(
    field, y, low, high, rtol=rtol, atol=atol, max_steps=max_steps
  )
  if log_prior is None:
    log_prior = _gaussian(float(schedule.alpha(high) ** 2 + schedule.sigma(high) ** 2))
  log_prob = log_prior(x_T) + divergence
  return (log_prob, evaluations) if with_evaluations else log_prob


def _directions(
  x: Array, key: Array | None, trace: str, num_probes: int
) -> tuple[Array, float]:
  """[M, B, ...], along which to look at the Jacobian, and the factor of their sum."""
  if trace not in TRACES:
    raise ValueError(f"unknown trace {trace!r}: it is one of {TRACES}")
  if trace == "exact":
    size = math.prod(x.shape[1:])
    axes = jnp.eye(size, dtype=x.dtype).reshape(size, 1, *x.shape[1:])
    return jnp.broadcast_to(axes, (size, *x.shape)), 1.0
  if key is None or num_probes < 1:
    raise ValueError(
      f"Hutchinson's trace needs a key and num_probes >= 1; got {num_probes}"
    )
  signs = jax.random.rademacher(key, (num_probes, *x.shape), x.dtype)
  return signs, 1.0 / num_probes


def _gaussian(variance: float) -> Callable[[Array], Array]:
  def log_prob(x: Array) -> Array:
    squared = jnp.sum(jnp.square(x), axis=range(1, x.ndim)) / variance
    size = math.prod(x.shape[1:])
    return -0.5 * (squared + size * math.log(2 * math.pi * variance))

  return log_prob
