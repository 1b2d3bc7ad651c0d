"""Score matching: how far a model's score is from that of the data, per example.

In expectation each is the Fisher divergence 1/2 E ||s - grad log p||^2, but for a
constant that no model changes; so those that know only the data can be negative.

`score` is a function of a batch: an objective gives `lambda x: model.apply(params, x)`.
The score of an example must depend on that example alone (no batch normalisation), for
the derivatives of the whole batch are taken at once.
"""

import math
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from jgm.noise import per_example

Array = jax.Array
DataScore = Callable[[Array], Array]  # x [B, ...] -> the score of each example [B, ...]


def implicit_score_matching(score: DataScore, x: Array) -> Array:
  """Hyvärinen's objective 1/2 ||s||^2 + tr(ds / dx) per example, with the exact trace.

  Costs a derivative of the score for each of the D dimensions, all held at once.

  Args:
    score: (x [B, ...]) -> [B, ...], each example's from that example alone.
    x: [B, ...] float. The data.

  Returns:
    [B] float, the sum over all axes but the first. Property: for data of N(m, S) and
    scores A x + b, least where A = -S^-1 and b = S^-1 m, and there -tr(S^-1) / 2.

  Reference: Hyvärinen 2005, eq. 4. https://jmlr.org/papers/v6/hyvarinen05a.html
  """
  basis = jnp.eye(math.prod(x.shape[1:]), dtype=x.dtype).reshape(-1, 1, *x.shape[1:])
  directions = jnp.broadcast_to(basis, (len(basis), *x.shape))
  score_x, curvature = _along(score, x, directions)
  return 0.5 * _squared_norm(score_x) + jnp.sum(curvature, axis=0)


def hutchinson_score_matching(
  score: DataScore, x: Array, key: Array, *, num_probes: int = 1
) -> Array:
  """An unbiased estimate of `implicit_score_matching`, of a few derivatives.

  1/2 ||s||^2 + v^T (ds / dx) v, averaged over probes v of random signs. It is also the
  sliced score matching of reduced variance (SSM-VR), which puts ||s||^2 for (v^T s)^2,
  its mean over such v: the two methods are one, and so is their code.

  Args:
    score: as `implicit_score_matching` has it.
    x: [B, ...] float. The data.
    key: typed key [].
    num_probes: the number of v of each example.

  Returns:
    [B] float. Property: over keys, its mean is `implicit_score_matching`; equal to it
    for any key where ds / dx is diagonal.

  Raises:
    ValueError: if num_probes < 1.

  Reference: Song, Garg, Shi, Ermon 2019, eq. 8. https://arxiv.org/abs/1905.07088
  """
  score_x, curvature = _along(score, x, _random_signs(key, num_probes, x))
  return 0.5 * _squared_norm(score_x) + jnp.mean(curvature, axis=0)


def sliced_score_matching(
  score: DataScore, x: Array, key: Array, *, num_projections: int = 1
) -> Array:
  """Sliced score matching, 1/2 (v^T s)^2 + v^T (ds / dx) v, per example.

  Only the projection of the score on random v is compared. Where v has random signs, as
  here, `hutchinson_score_matching` has the same mean and, as a rule, less variance.

  Args:
    score: as `implicit_score_matching` has it.
    x: [B, ...] float. The data.
    key: typed key [].
    num_projections: the number of v of each example, over which it is averaged.

  Returns:
    [B] float. Property: over keys, its mean is `implicit_score_matching`.

  Raises:
    ValueError: if num_projections < 1.

  Reference: Song, Garg, Shi, Ermon 2019, eq. 7. https://arxiv.org/abs/1905.07088
  """
  directions = _random_signs(key, num_projections, x)
  score_x, curvature = _along(score, x, directions)
  projection = jax.vmap(_inner, in_axes=(0, None))(directions, score_x)
  return jnp.mean(0.5 * jnp.square(projection) + curvature, axis=0)


def denoising_score_matching(score_hat: Array, eps: Array, sigma: Array) -> Array:
  """1/2 ||s_hat + eps / sigma||^2 per example: the score of the noise, regressed.

  Args:
    score_hat: [B, ...] float. The score at x_t = alpha x_0 + sigma eps.
    eps: [B, ...] float. Standard normal noise.
    sigma: [B] or [] float > 0. How much of it. Multiply by a function of it for any
      other weighting.

  Returns:
    [B] float >= 0, the sum over all axes but the first. Property: over noisy data,
    least where s_hat is the score of their distribution.

  Reference: Vincent 2011, section 4.2. https://doi.org/10.1162/NECO_a_00142
  """
  chex.assert_equal_shape([score_hat, eps])
  return 0.5 * _squared_norm(score_hat + eps / per_example(sigma, eps))


def weighted_denoising_score_matching(
  score_hat: Array, eps: Array, sigma: Array
) -> Array:
  """sigma^2 `denoising_score_matching`, 1/2 ||sigma s_hat + eps||^2, per example.

  The weighting of NCSN: all levels of noise count about the same, down to none at all.

  Args:
    score_hat: [B, ...] float. The score at x_t = alpha x_0 + sigma eps.
    eps: [B, ...] float. Standard normal noise.
    sigma: [B] or [] float >= 0. How much of it.

  Returns:
    [B] float >= 0, the sum over all axes but the first. Property: D / 2 times the
    `squared_error` of eps_hat = -sigma s_hat.

  Reference: Song & Ermon 2019, eqs. 5 and 6. https://arxiv.org/abs/1907.05600
  """
  chex.assert_equal_shape([score_hat, eps])
  return 0.5 * _squared_norm(per_example(sigma, eps) * score_hat + eps)


def _along(score: DataScore, x: Array, directions: Array) -> tuple[Array, Array]:
  """The score s [B, ...], and v^T (ds / dx) v [K, B] along directions v [K, B, ...]."""
  score_x, jacobian_vector = jax.linearize(score, x)
  chex.assert_equal_shape([score_x, x])
  return score_x, jax.vmap(lambda v: _inner(v, jacobian_vector(v)))(directions)


def _random_signs(key: Array, number: int, x: Array) -> Array:
  if number < 1:
    raise ValueError(f"at least one random direction is needed; got {number}")
  return jax.random.rademacher(key, (number, *x.shape), x.dtype)


def _inner(a: Array, b: Array) -> Array:
  return jnp.sum(a * b, axis=range(1, a.ndim))


def _squared_norm(x: Array) -> Array:
  return jnp.sum(jnp.square(x), axis=range(1, x.ndim))
