"""The probability-flow ODE, solved with steps as long as the tolerance allows."""

from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp

from jgm.noise import Schedule, require_noise

Array = jax.Array
PyTree = Any

STAGES = 6  # evaluations of a step of Tsit5, whose first stage is the last of before


def flow_coefficients(schedule: Schedule, t: Array) -> tuple[Array, Array]:
  """a and b of the flow dx/dt = a x + b x_0_hat.

  It is alpha' x_0_hat + sigma' eps_hat. Both are finite wherever sigma > 0, unlike the
  drift and the diffusion of the SDE.

  Args:
    schedule: any.
    t: [] or [B] float.

  Returns:
    Two arrays like t.

  Reference: Song et al. 2021, eq. 13. https://arxiv.org/abs/2011.13456
  """
  a = schedule.sigma_rate(t) / schedule.sigma(t)
  return a, schedule.alpha_rate(t) - a * schedule.alpha(t)


def checked_interval(
  schedule: Schedule, low: float | None, high: float | None
) -> tuple[float, float]:
  """The times between which a flow is followed, in which there is noise at all times.

  Args:
    schedule: any.
    low: None: the schedule's first time.
    high: None: its last.

  Returns:
    (low, high).

  Raises:
    ValueError: if not low < high, they lie outside the schedule, or sigma = 0 at low.
  """
  low = float(schedule.first if low is None else low)
  high = float(schedule.last if high is None else high)
  if not 0.0 <= low < high <= schedule.last:
    raise ValueError(
      f"times need 0 <= low < high <= {schedule.last}; got {low}, {high}"
    )
  require_noise(schedule, low)
  return low, high


def solve_flow(
  field: Callable[[Any, PyTree], PyTree],
  y: PyTree,
  start: float,
  end: float,
  *,
  rtol: float,
  atol: float,
  max_steps: int,
  frames: Array | None = None,
) -> tuple[PyTree, PyTree, Array]:
  """Follows a field from start to end, forwards or backwards.

  Steps are common to the batch, as long as the worst of its examples allows.

  Args:
    field: (t [], y) -> dy/dt.
    y: a pytree with leaves [B, ...].
    start: the time of y.
    end: another time.
    rtol: the relative error allowed in a step, of each example.
    atol: the absolute one.
    max_steps: at run time it is an error to need more.
    frames: [K] times between start and end, in order, or None.

  Returns:
    y at the end; y at the frames [K, ...] or None; and the number of evaluations of
    the field, [] int32.

  Reference: Tsitouras 2011; Soderlind 2003, for the control of the step size.
  """
  controller = diffrax.PIDController(rtol=rtol, atol=atol, norm=_worst_example)
  solution = diffrax.diffeqsolve(
    diffrax.ODETerm(lambda t, y, _: field(t, y)),
    diffrax.Tsit5(),
    t0=start,
    t1=end,
    dt0=(end - start) / 100,  # a first guess, which the controller corrects
    y0=y,
    saveat=diffrax.SaveAt(ts=frames, t1=True),
    stepsize_controller=controller,
    max_steps=max_steps,
  )
  final = jax.tree.map(lambda leaf: leaf[-1], solution.ys)
  kept = None if frames is None else jax.tree.map(lambda leaf: leaf[:-1], solution.ys)
  return final, kept, 1 + STAGES * solution.stats["num_steps"]


def _worst_example(error: PyTree) -> Array:
  worst = lambda leaf: jnp.max(
    jnp.mean(jnp.square(leaf), axis=range(1, leaf.ndim)), initial=0.0
  )
  return jnp.sqrt(jnp.max(jnp.stack([worst(leaf) for leaf in jax.tree.leaves(error)])))
