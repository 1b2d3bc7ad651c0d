"""Penalties on the critic's gradient by its input, per example.

`score` is a function of a batch: an objective gives `lambda x: model.apply(params, x)`.
The score of an example must depend on that example alone (no batch normalisation): the
gradient is taken of one example at a time, over all of its axes.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import optax
from einops import rearrange

from jgm.noise import per_example

Array = jax.Array
Critic = Callable[[Array], Array]  # x [B, ...] -> [B]


def per_example_gradient_norm(score: Critic, x: Array) -> Array:
  """The Euclidean norm of the gradient of each example's score, over all its axes.

  Args:
    score: (x [B, ...]) -> [B], each example's from that example alone.
    x: [B, ...] float.

  Returns:
    [B] float >= 0. Property: ||w|| for the score <w, x>, whatever the shape of x. Its
    own gradient, by what the score depends on, is 0 where the norm is 0.
  """
  return optax.safe_norm(_flat_gradient(score, x), 0.0, axis=1)


def gradient_penalty(
  score: Critic,
  real: Array,
  fake: Array,
  key: Array,
  *,
  target: float = 1.0,
  one_sided: bool = False,
) -> Array:
  """(||grad score|| - target)^2 per example, between the data and the fakes.

  The gradient is taken at real + u (fake - real), with one u ~ U[0, 1] per example. The
  weight of the penalty (lambda; 10 in the paper) is the caller's.

  Args:
    score: (x [B, ...]) -> [B], each example's from that example alone.
    real: [B, ...] float.
    fake: [B, ...] float. Paired with the data at random.
    key: typed key [].
    target: the norm that is wanted.
    one_sided: only what is above the target is penalised.

  Returns:
    [B] float >= 0. Property: (||w|| - 1)^2 for the score <w, x>, and 1 if it is flat.

  Reference: Gulrajani et al. 2017, eq. 3; one-sided in section 4.
  https://arxiv.org/abs/1704.00028
  """
  chex.assert_equal_shape([real, fake])
  u = jax.random.uniform(key, (len(real),), real.dtype)
  x = real + per_example(u, real) * (fake - real)
  excess = per_example_gradient_norm(score, x) - target
  return jnp.square(jax.nn.relu(excess) if one_sided else excess)


def zero_centred_gradient_penalty(score: Critic, x: Array) -> Array:
  """||grad score||^2 / 2 per example: R1 at the data, R2 at the generator's examples.

  The weight of the penalty (gamma) is the caller's.

  Args:
    score: (x [B, ...]) -> [B], each example's from that example alone.
    x: [B, ...] float.

  Returns:
    [B] float >= 0, the sum over all axes but the first. Property: ||w||^2 / 2 for the
    score <w, x>.

  Reference: Mescheder, Geiger & Nowozin 2018, eqs. 9 and 10.
  https://arxiv.org/abs/1801.04406
  """
  return 0.5 * jnp.sum(jnp.square(_flat_gradient(score, x)), axis=1)


def _flat_gradient(score: Critic, x: Array) -> Array:
  """The gradient of each example's score: [B, D].

  By vmap, not of the sum over the batch: a score that looks at other examples has no
  gradient of its own, and with batch statistics of one example it shows.
  """
  gradient = jax.vmap(jax.grad(lambda x: score(x[None])[0]))(x)
  return rearrange(gradient, "b ... -> b (...)")
