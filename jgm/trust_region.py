"""One step of TRPO: down a loss, as far as a divergence from the old policy allows.

The direction is the natural gradient F^-1 g, by conjugate gradients that need only
products F v; F, the Fisher matrix, is the Hessian of the divergence at the parameters.
Its length is where the divergence, taken as quadratic, is max_kl; then it is halved
until the true divergence is at most that, and the loss less than it was.

`loss` and `kl` are functions of the parameters alone, each the mean over one batch that
the caller has closed over:

    loss(params)   to be minimised: the mean of `surrogate_loss`
    kl(params)     KL(pi_old || pi), exact at each state, pi_old held fixed

Under pmap each replica has its own batch: gradients, products and both means are
averaged, so that all replicas take the same step. All of it may be jitted.

References: Schulman et al. 2015, section 6 and appendix C; Martens 2020 (F as J^T H J).
https://arxiv.org/abs/1502.05477 https://arxiv.org/abs/1412.1193
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg

from jgm.core import Array, PyTree, pmean

Scalar = Callable[[PyTree], Array]  # params -> []
Linear = Callable[[PyTree], PyTree]


class TrustRegionStep(NamedTuple):
  """Where a step has led, and how far: scalars [] that the caller may log."""

  params: PyTree
  accepted: Array  # bool; if False, the parameters are the old ones, bit for bit
  kl: Array  # nats, from the old policy to the new; 0 if not accepted
  improvement: Array  # the old loss minus the new one; 0 if not accepted
  fraction: Array  # of the full step that was taken; 0 if not accepted


def fisher_vector_product(kl: Scalar, params: PyTree) -> Linear:
  """v -> F v, with F the Hessian of `kl` at the parameters.

  It is the Fisher matrix if `kl` is exact at each state and 0 at the parameters: then
  the derivative of the KL by the logits is 0, no second derivative of the network is
  left, and F is J^T H J, never indefinite. A sampled KL has no such Hessian.

  Args:
    kl: params -> [], with its minimum at `params`.
    params: a pytree of float arrays.

  Returns:
    A function of pytrees like `params`, averaged over replicas. Property: of unit
    vectors it makes the columns of the dense Fisher matrix.

  Reference: Pearlmutter 1994, section 2. https://doi.org/10.1162/neco.1994.6.1.147
  """
  _, product = jax.linearize(jax.grad(kl), params)
  return lambda vector: pmean(product(vector))


def natural_gradient(
  product: Linear,
  gradient: PyTree,
  *,
  damping: float = 0.1,
  iterations: int = 10,
  tolerance: float = 1e-10,
) -> PyTree:
  """(F + damping I)^-1 g, by conjugate gradients from 0.

  Args:
    product: v -> F v, the same on all replicas.
    gradient: g, a pytree.
    damping: makes F definite; in units of F.
    iterations: at most so many products.
    tolerance: it ends where the residual is so much of ||g||.

  Returns:
    A pytree like `gradient`. Property: with as many iterations as parameters, the dense
    solution, but for rounding; 0 where g is 0.

  Reference: Schulman et al. 2015, appendix C. https://arxiv.org/abs/1502.05477
  """

  def damped(vector: PyTree) -> PyTree:
    return jax.tree.map(lambda Fv, v: Fv + damping * v, product(vector), vector)

  direction, _ = cg(damped, gradient, tol=tolerance, maxiter=iterations)
  return direction


def line_search(
  loss: Scalar,
  kl: Scalar,
  params: PyTree,
  step: PyTree,
  *,
  max_kl: float,
  shrink: float = 0.5,
  max_tries: int = 10,
) -> TrustRegionStep:
  """The first of params + shrink^n step, n = 0, 1, ..., that may be taken.

  That is one with kl <= max_kl and a loss less than that of `params`. If there is none
  the parameters stay. A NaN of either is a no.

  Args:
    loss: params -> [].
    kl: params -> [] in nats.
    params: a pytree of float arrays.
    step: a pytree like it, the full step.
    max_kl: in nats.
    shrink: in (0, 1).
    max_tries: at most so many evaluations.

  Returns:
    TrustRegionStep. Property: kl <= max_kl and improvement > 0, or nothing changed.

  Reference: Schulman et al. 2015, appendix C. https://arxiv.org/abs/1502.05477
  """
  old_loss = pmean(loss(params))

  def attempt(n: Array) -> TrustRegionStep:
    fraction = jnp.asarray(shrink, old_loss.dtype) ** n
    moved = jax.tree.map(lambda p, s: p + fraction.astype(p.dtype) * s, params, step)
    divergence, improvement = pmean((kl(moved), old_loss - loss(moved)))
    accepted = (divergence <= max_kl) & (improvement > 0)
    return TrustRegionStep(moved, accepted, divergence, improvement, fraction)

  def search(carry: tuple[Array, TrustRegionStep]) -> tuple[Array, TrustRegionStep]:
    n, _ = carry
    return n + 1, attempt(n)

  def unsettled(carry: tuple[Array, TrustRegionStep]) -> Array:
    n, last = carry
    return ~last.accepted & (n < max_tries)

  zero = jnp.zeros_like(old_loss)
  stay = TrustRegionStep(params, jnp.bool_(False), zero, zero, zero)
  _, last = jax.lax.while_loop(unsettled, search, (jnp.int32(0), stay))
  return jax.tree.map(lambda new, old: jnp.where(last.accepted, new, old), last, stay)


def trust_region_step(
  loss: Scalar,
  kl: Scalar,
  params: PyTree,
  *,
  max_kl: float = 0.01,
  damping: float = 0.1,
  iterations: int = 10,
  tolerance: float = 1e-10,
  shrink: float = 0.5,
  max_tries: int = 10,
) -> TrustRegionStep:
  """One step of TRPO: `natural_gradient`, its length, `line_search`.

  Args:
    loss: params -> [], to be minimised; differentiated once.
    kl: params -> [] in nats, exact, 0 at `params`; differentiated twice.
    params: a pytree of float arrays.
    max_kl: delta, how far the policy may go, in nats.
    damping: see `natural_gradient`; also `iterations` and `tolerance`.
    iterations: see `natural_gradient`.
    tolerance: see `natural_gradient`.
    shrink: see `line_search`; also `max_tries`.
    max_tries: see `line_search`.

  Returns:
    TrustRegionStep. Property: the policy is at most max_kl away and its loss less, or
    the parameters are what they were, bit for bit.

  Reference: Schulman et al. 2015, appendix C. https://arxiv.org/abs/1502.05477
  """
  gradient = pmean(jax.grad(loss)(params))
  product = fisher_vector_product(kl, params)
  s = natural_gradient(
    product, gradient, damping=damping, iterations=iterations, tolerance=tolerance
  )
  # KL(length s) is length^2 s^T F s / 2, but for higher orders
  curvature = _dot(s, product(s))
  possible = curvature > 0  # it is 0 where the gradient is: nowhere to go
  length = jnp.sqrt(2 * max_kl / jnp.where(possible, curvature, 1.0)) * possible
  step = jax.tree.map(lambda leaf: -length.astype(leaf.dtype) * leaf, s)
  return line_search(
    loss, kl, params, step, max_kl=max_kl, shrink=shrink, max_tries=max_tries
  )


def _dot(x: PyTree, y: PyTree) -> Array:
  products = jax.tree.map(lambda a, b: jnp.sum(a * b), x, y)
  return jax.tree.reduce(jnp.add, products)
