"""f-divergences D_f(p || q) = E_q f(p / q) and their variational lower bound, in nats.

For any function T of x, E_p T - E_q f*(T) <= D_f(p || q), where f* is the conjugate
of f: f*(t) is the largest u t - f(u) over u >= 0. It is tight at T = f'(p / q). A
critic is trained to raise that bound. Its raw scores v are any numbers; an activation g
brings them to where f* is finite: T = g(v).

With u = p / q, p the data and q the model:

    name               f(u)                     T = g(v)            f*(g(v))
    kl                 u log u                  v                   exp(v - 1)
    reverse_kl         -log u                   -exp(-v)            v - 1
    pearson            (u - 1)^2                v                   v + v^2 / 4
    neyman             (1 - u)^2 / u            1 - exp(-v)         2 - 2 exp(-v / 2)
    squared_hellinger  (sqrt(u) - 1)^2          1 - exp(-v)         exp(v) - 1
    jensen_shannon     (u log u - (u + 1)       (log 2 - s(-v)) / 2 (s(v) - log 2) / 2
                        log((u + 1) / 2)) / 2
    gan                u log u - (u + 1)        -s(-v)              s(v)
                        log(u + 1)
    total_variation    |u - 1| / 2              tanh(v) / 2         tanh(v) / 2

with s(v) = log(1 + exp(v)). So squared Hellinger is without the half and at most 2,
Jensen-Shannon is the usual one, at most log 2 (the paper's table has twice that), "gan"
is twice it minus log 4, and total variation is at most 1. `alpha_divergence` makes the
family with KL and reverse KL as its limits.

Two things differ from the paper:

- Where g or f*(g) is an exponential, v is tamed: unchanged up to |v| = 20, beyond it
  sign(v) (20 + log(1 + |v| - 20)). The exponential of that grows but linearly. T stays
  in the domain, so the bound holds for any v, and a large v has a finite gradient.
  The price: ratios p / q with a v beyond 20 (for "neyman", below exp(-10) or above
  exp(10)) are learned slowly.
- The conjugates are over u >= 0, while Pearson's t + t^2 / 4 is the largest
  u t - (u - 1)^2 over all real u. Below t = -2 the true f* is -1. It is the tighter
  bound, and flat there: a critic gains nothing by still lower scores of fakes, and no
  gradient of the generator points the wrong way. So it is for alpha > 1, below
  t = -1 / (alpha - 1).

In float32 a T that is below its limit by less than rounding is the limit itself, which
is why losses take f*(g(v)) from `conjugate_of_activation`, never from f* of T.

Reference: Nowozin, Cseke & Tomioka 2016, sections 2 and 3, table 6.
https://arxiv.org/abs/1606.00709
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

Array = jax.Array
Elementwise = Callable[[Array], Array]

LOG_2 = math.log(2.0)
LIMIT = 20.0  # of |v| where it is an exponent: exp(20) is 5e8


class FDivergence(NamedTuple):
  """One divergence: functions of arrays of any shape, element by element.

  Properties: f(u) + conjugate(t) >= u t, with equality at t = derivative(u);
  conjugate_of_activation(v) = conjugate(activation(v)), without its overflow.
  """

  f: Elementwise  # of u >= 0; convex
  derivative: Elementwise  # f' of u > 0: the optimal T
  conjugate: Elementwise  # f* of t; inf outside its domain
  activation: Elementwise  # g of v: any number to a t of the domain; increasing
  conjugate_of_activation: Elementwise  # f*(g(v))


def f_divergence_bound(divergence: FDivergence, real: Array, fake: Array) -> Array:
  """T(real) - f*(T(fake)) per example: its mean is at most D_f(p || q), in nats.

  Args:
    divergence: one of `F_DIVERGENCES`, or an `alpha_divergence`.
    real: [B] float. The critic's raw scores of the data, p.
    fake: [B] float. Those of the model's examples, q.

  Returns:
    [B] float. Property: in expectation D_f(p || q), in the normalisation of this file,
    where g(v) = f'(p / q), and less for any other critic.

  Reference: Nowozin, Cseke & Tomioka 2016, section 2.2.
  https://arxiv.org/abs/1606.00709
  """
  chex.assert_rank([real, fake], 1)
  chex.assert_equal_shape([real, fake])
  return divergence.activation(real) - divergence.conjugate_of_activation(fake)


def alpha_divergence(alpha: float) -> FDivergence:
  """f(u) = (u^alpha - 1 - alpha (u - 1)) / (alpha (alpha - 1)), for alpha not 0 or 1.

  Twice squared Hellinger at 1/2, half of Pearson's at 2, half of Neyman's at -1. As
  alpha goes to 1 the limit is KL, to 0 reverse KL.

  For alpha > 1, g(v) = v as the paper has it, tamed where f* nears exp(20). For alpha
  < 1 the paper's 1 / (1 - alpha) - log(1 + exp(-v)) would begin, at v = 0, with a ratio
  u that overflows as alpha nears 1. Here g(v) = (1 - exp((alpha - 1) v)) / (1 - alpha),
  with v = log u; for alpha < 0 its exponent is -v. That is u = 1 at v = 0, and but for
  scales the g of Hellinger and Neyman above.

  Args:
    alpha: any number but 0 and 1.

  Returns:
    FDivergence, with all its properties.

  Raises:
    ValueError: if alpha is 0, 1 or not finite.

  Reference: Nowozin, Cseke & Tomioka 2016, table 6. https://arxiv.org/abs/1606.00709
  """
  if not math.isfinite(alpha) or alpha in (0, 1):
    raise ValueError(
      f"alpha={alpha}: the alpha-divergence needs a number that is neither 0 nor 1; "
      "its limits there are reverse_kl (0) and kl (1)"
    )
  f = lambda u: (jnp.expm1(alpha * jnp.log(u)) - alpha * (u - 1)) / alpha / (alpha - 1)
  derivative = lambda u: jnp.expm1((alpha - 1) * jnp.log(u)) / (alpha - 1)
  if alpha > 1:
    limit = math.expm1(LIMIT * (alpha - 1) / alpha) / (alpha - 1)  # f*: exp(20) / alpha
    activation = lambda v: _tame(v, limit)
    conjugate = lambda t: _alpha_conjugate(alpha, t)
    return FDivergence(
      f, derivative, conjugate, activation, lambda v: conjugate(activation(v))
    )
  scale = max(1.0, 1 - alpha)  # no exponent is more than the tamed v
  return FDivergence(
    f,
    derivative,
    _within(1 / (1 - alpha), lambda t: _alpha_conjugate(alpha, t)),
    lambda v: -jnp.expm1(-(1 - alpha) / scale * _tame(v)) / (1 - alpha),
    lambda v: jnp.expm1(alpha / scale * _tame(v)) / alpha,
  )


def _alpha_conjugate(alpha: float, t: Array) -> Array:
  """(s^(alpha / (alpha - 1)) - 1) / alpha at s = 1 + (alpha - 1) t; s is at least 0."""
  excess = (alpha - 1) * t
  inside = excess > -1
  log_s = jnp.log1p(jnp.where(inside, excess, 0.0))
  power = jnp.expm1(alpha / (alpha - 1) * log_s)
  # at s = 0: 0 to a positive power, or inf where 0 < alpha < 1
  edge = jnp.inf if 0 < alpha < 1 else -1.0
  return jnp.where(inside, power, edge) / alpha


def _tame(v: Array, limit: float = LIMIT) -> Array:
  """v where |v| <= limit, beyond it of logarithmic growth; its slope is continuous."""
  beyond = jnp.maximum(jnp.abs(v) - limit, 0.0)
  return jnp.clip(v, -limit, limit) + jnp.sign(v) * jnp.log1p(beyond)


def _within(limit: float, conjugate: Elementwise) -> Elementwise:
  """The conjugate where t <= limit, inf elsewhere, without a NaN in its gradient."""

  def extended(t: Array) -> Array:
    inside = t <= limit
    return jnp.where(inside, conjugate(jnp.where(inside, t, limit - 1)), jnp.inf)

  return extended


def _pearson_conjugate(t: Array) -> Array:
  t = jnp.maximum(t, -2.0)  # u = 1 + t / 2 is at least 0
  return t * (1 + t / 4)


def _jensen_shannon(u: Array) -> Array:
  return 0.5 * (_gan(u) + LOG_2 * (u + 1))


def _gan(u: Array) -> Array:
  # not u log u - (u + 1) log(u + 1), which cancels where u is large
  return -u * jnp.log1p(1 / jnp.where(u > 0, u, 1.0)) - jnp.log1p(u)


def _gan_conjugate(t: Array) -> Array:
  # -log(1 - exp(t)): what is small must not be the difference of large numbers
  near_zero = t > -LOG_2
  near = -jnp.log(-jnp.expm1(jnp.where(near_zero, t, -1.0)))
  return jnp.where(near_zero, near, -jnp.log1p(-jnp.exp(jnp.where(near_zero, -1.0, t))))


F_DIVERGENCES: dict[str, FDivergence] = {
  "kl": FDivergence(
    f=lambda u: jax.scipy.special.xlogy(u, u),
    derivative=lambda u: 1 + jnp.log(u),
    conjugate=lambda t: jnp.exp(t - 1),
    activation=_tame,
    conjugate_of_activation=lambda v: jnp.exp(_tame(v) - 1),
  ),
  "reverse_kl": FDivergence(
    f=lambda u: -jnp.log(u),
    derivative=lambda u: -1 / u,
    conjugate=_within(0.0, lambda t: -1 - jnp.log(-t)),
    activation=lambda v: -jnp.exp(-_tame(v)),
    conjugate_of_activation=lambda v: _tame(v) - 1,
  ),
  "pearson": FDivergence(
    f=lambda u: jnp.square(u - 1),
    derivative=lambda u: 2 * (u - 1),
    conjugate=_pearson_conjugate,
    activation=lambda v: v,
    conjugate_of_activation=_pearson_conjugate,
  ),
  "neyman": FDivergence(
    f=lambda u: jnp.square(1 - u) / u,
    derivative=lambda u: 1 - jnp.square(1 / u),
    conjugate=_within(1.0, lambda t: 2 * t / (1 + jnp.sqrt(1 - t))),
    activation=lambda v: -jnp.expm1(-_tame(v)),
    conjugate_of_activation=lambda v: -2 * jnp.expm1(-_tame(v) / 2),
  ),
  "squared_hellinger": FDivergence(
    f=lambda u: jnp.square((u - 1) / (jnp.sqrt(u) + 1)),
    derivative=lambda u: 1 - 1 / jnp.sqrt(u),
    conjugate=_within(1.0, lambda t: t / (1 - t)),
    activation=lambda v: -jnp.expm1(-_tame(v)),
    conjugate_of_activation=lambda v: jnp.expm1(_tame(v)),
  ),
  "jensen_shannon": FDivergence(
    f=_jensen_shannon,
    derivative=lambda u: 0.5 * (LOG_2 - jnp.log1p(1 / u)),
    conjugate=_within(LOG_2 / 2, lambda t: -0.5 * jnp.log1p(-jnp.expm1(2 * t))),
    activation=lambda v: 0.5 * (LOG_2 - jax.nn.softplus(-v)),
    conjugate_of_activation=lambda v: 0.5 * (jax.nn.softplus(v) - LOG_2),
  ),
  "gan": FDivergence(
    f=_gan,
    derivative=lambda u: -jnp.log1p(1 / u),
    conjugate=_within(0.0, _gan_conjugate),
    activation=lambda v: -jax.nn.softplus(-v),
    conjugate_of_activation=jax.nn.softplus,
  ),
  "total_variation": FDivergence(
    f=lambda u: jnp.abs(u - 1) / 2,
    derivative=lambda u: jnp.sign(u - 1) / 2,
    conjugate=_within(0.5, lambda t: jnp.maximum(t, -0.5)),
    activation=lambda v: jnp.tanh(v) / 2,
    conjugate_of_activation=lambda v: jnp.tanh(v) / 2,
  ),
}
