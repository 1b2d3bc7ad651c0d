"""Gradient penalties, against linear critics and the exact optimum of shifts."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.losses.gan import GAN_LOSSES
from jgm.losses.gradient_penalty import (
  gradient_penalty,
  per_example_gradient_norm,
  zero_centred_gradient_penalty,
)

SHAPES = pytest.mark.parametrize("shape", [(), (1,), (5,), (4, 3), (6, 6, 3)])


def linear(w, x):
  return jnp.sum(w[None] * x, axis=range(1, x.ndim)) + 0.3


def examples(key, *shape):
  """A key for the interpolation, the data and the fakes."""
  key, key_real, key_fake = jax.random.split(key, 3)
  return key, jax.random.normal(key_real, shape), jax.random.normal(key_fake, shape)


@SHAPES
def test_the_penalty_of_a_linear_critic(shape, key):
  """Over all axes of an example at once: channels alone would have a norm too."""
  key, real, fake = examples(key, 7, *shape)
  w = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
  norm = np.sqrt(np.sum(np.square(np.float64(w))))
  score = lambda x: linear(w, x)
  everything = lambda real, fake, key: (
    per_example_gradient_norm(score, real),
    gradient_penalty(score, real, fake, key[0]),
    gradient_penalty(score, real, fake, key[1], target=0.5),
    zero_centred_gradient_penalty(score, real),
  )
  wanted = norm, (norm - 1) ** 2, (norm - 0.5) ** 2, norm**2 / 2
  values = jax.jit(everything)(real, fake, jax.random.split(key))
  for actual, value in zip(values, wanted, strict=True):
    np.testing.assert_allclose(actual, np.full(7, value), rtol=2e-5)


@pytest.mark.parametrize(("norm", "wanted"), [(0.0, 0.0), (0.6, 0.0), (3.0, 4.0)])
def test_one_sided(norm, wanted, key):
  key, real, fake = examples(key, 4, 2, 2)
  score = lambda x: linear(jnp.full((2, 2), norm / 2), x)
  actual = gradient_penalty(score, real, fake, key, one_sided=True)
  np.testing.assert_allclose(actual, np.full(4, wanted), rtol=1e-5)


def test_a_flat_critic_is_penalised_by_one(key):
  key, real, fake = examples(key, 4, 3, 3, 2)
  flat = lambda x: jnp.zeros(len(x))
  np.testing.assert_array_equal(gradient_penalty(flat, real, fake, key), np.ones(4))


@SHAPES
def test_derivatives_at_a_zero_gradient_are_finite(shape, key):
  """By the weights: the critic's second derivatives and, for good measure, third."""
  key, real, fake = examples(key, 3, *shape)
  w = jnp.zeros(shape)

  def losses(w):
    score = lambda x: linear(w, x)
    return (
      jnp.mean(gradient_penalty(score, real, fake, jax.random.clone(key))),
      jnp.mean(per_example_gradient_norm(score, real)),
      jnp.mean(zero_centred_gradient_penalty(score, real)),
    )

  slopes, curvatures = jax.jit(
    lambda w: (jax.jacrev(losses)(w), jax.hessian(losses)(w))
  )(w)
  chex.assert_trees_all_equal(slopes, (w, w, w))
  chex.assert_tree_all_finite(curvatures)
  of_squares = np.reshape(curvatures[2], (w.size, w.size))
  np.testing.assert_allclose(of_squares, np.eye(w.size), rtol=1e-6)


def test_a_dead_network_has_finite_derivatives(key):
  """All of its units off: the gradient is 0 whatever the weights."""
  key, real, fake = examples(key, 4, 3)
  params = {"w": jnp.ones((3, 5)), "b": jnp.full(5, -100.0), "out": jnp.ones(5)}

  def loss(params):
    score = lambda x: jax.nn.relu(x @ params["w"] + params["b"][None]) @ params["out"]
    return jnp.mean(gradient_penalty(score, real, fake, key))

  value, slopes = jax.jit(jax.value_and_grad(loss))(params)
  assert value == 1.0
  chex.assert_trees_all_equal(slopes, jax.tree.map(jnp.zeros_like, params))


def test_each_example_has_its_own_norm(key):
  """Against the Jacobian of the whole batch."""
  x = jax.random.normal(key, (5, 2, 3))
  score = lambda x: jnp.sum(jnp.sin(x) * jnp.roll(x, 1, axis=2), axis=(1, 2)) ** 2
  jacobian = np.asarray(jax.jit(jax.jacfwd(score))(x))
  wanted = np.array([np.linalg.norm(jacobian[i, i]) for i in range(5)])
  np.testing.assert_allclose(per_example_gradient_norm(score, x), wanted, rtol=1e-5)
  squares = zero_centred_gradient_penalty(score, x)
  np.testing.assert_allclose(squares, wanted**2 / 2, rtol=1e-5)


def test_one_interpolation_number_for_each_example(key):
  """The critic's gradient is x itself, so its norm tells where x was."""
  num, shape = 2000, (4, 4, 3)
  real, fake = jnp.full((num, *shape), 2.0), jnp.full((num, *shape), 5.0)
  score = lambda x: 0.5 * jnp.sum(jnp.square(x), axis=(1, 2, 3))
  key, key_aside = jax.random.split(key)
  penalty = jax.jit(lambda *args: gradient_penalty(score, *args, target=0.0))
  norm = np.sqrt(np.asarray(penalty(real, fake, key)))
  u = np.sort((norm / np.sqrt(48) - 2) / 3)
  assert u[0] > -1e-5 and u[-1] < 1 + 1e-5
  assert np.mean(np.diff(u) > 0) > 0.99  # another one for each
  # Kolmogorov-Smirnov: a mean over pixels would be near 1/2
  assert np.max(np.abs(u - np.arange(num) / num)) < 1.95 / np.sqrt(num)
  # and on the line between the two, for each its own
  aside = jnp.concatenate([real[:1], fake[1:2]]), jnp.concatenate([real[:1], fake[1:2]])
  np.testing.assert_allclose(
    penalty(*aside, key_aside), 48 * np.array([4.0, 25.0]), rtol=1e-5
  )


def test_other_shapes_are_refused(key):
  score = lambda x: jnp.sum(x, axis=1)
  with pytest.raises(AssertionError):
    gradient_penalty(score, jnp.zeros((4, 2)), jnp.zeros((3, 2)), key)
  with pytest.raises(TypeError):  # scores [B, 1]
    gradient_penalty(lambda x: x[:, :1], jnp.zeros((4, 2)), jnp.zeros((4, 2)), key)


def interpolates_density(x, shift):
  """Of (1 - u) a + u b for a ~ U[0, 1], b ~ U[shift, shift + 1] and u ~ U[0, 1]."""
  u = ((np.arange(4000) + 0.5) / 4000)[:, None]
  y = x[None] - u * shift  # a sum of uniforms on [0, 1 - u] and [0, u]
  overlap = np.minimum(y, 1 - u) - np.maximum(0.0, y - u)
  return np.mean(np.maximum(overlap, 0.0) / (u * (1 - u)), axis=0)


@pytest.mark.parametrize("shift", [0.3, 0.8])
def test_the_estimate_exceeds_the_distance_by_the_bias_of_the_penalty(shift, key):
  """The critic of least loss, whose slopes are free on each of many intervals.

  W1 of a shift is the shift. The best critic's slope is 1 + |P - Q| / (2 lambda rho),
  so its estimate is too large by the integral of (P - Q)^2 / (2 lambda rho).
  """
  num, width = 20_000, 0.05
  key_fake, key_u = jax.random.split(key)
  real = (jnp.arange(num) + 0.5) / num
  fake = jax.random.permutation(key_fake, real) + shift
  starts = jnp.arange(0.0, 1.0 + shift - 1e-6, width)
  game = GAN_LOSSES["wasserstein"]

  def score(slopes, x):
    return jnp.clip(x[:, None] - starts[None], 0.0, width) @ slopes

  def loss(slopes, weight, key):
    penalty = gradient_penalty(lambda x: score(slopes, x), real, fake, key)
    losses = game.critic(score(slopes, real), score(slopes, fake))
    return jnp.mean(losses) + weight * jnp.mean(penalty)

  @jax.jit
  def estimate(weight, key):
    same = lambda slopes: loss(slopes, weight, jax.random.clone(key))
    # the fakes are to the right: the critic falls. There the loss is quadratic
    slopes = jnp.full(len(starts), -1.0)
    step = jnp.linalg.solve(jax.hessian(same)(slopes), jax.grad(same)(slopes))
    slopes = slopes - step
    estimate = jnp.mean(score(slopes, real)) - jnp.mean(score(slopes, fake))
    return estimate, slopes, jax.grad(same)(slopes)

  x = (np.arange(4000) + 0.5) * (1 + shift) / 4000
  difference = np.clip(x, 0, 1) - np.clip(x - shift, 0, 1)
  density = interpolates_density(x, shift)
  bias = np.mean(difference**2 / density) * (1 + shift) / 2
  assert np.mean(density) * (1 + shift) == pytest.approx(1.0, abs=1e-3)
  weights = (0.5, 10.0, 1000.0)
  excess = []
  for weight, key_weight in zip(weights, jax.random.split(key_u, 3), strict=True):
    value, slopes, gradient = estimate(weight, key_weight)
    assert jnp.all(slopes < 0) and jnp.max(jnp.abs(gradient)) < 1e-4
    excess.append(value - shift)
  excess = np.array(excess)
  wanted = bias / np.array(weights)
  print(f"\nshift {shift}: lambda {weights}: excess {excess}, predicted {wanted}")
  # the scatter of the interpolates is all that is left, and the width of the intervals
  np.testing.assert_allclose(excess, wanted, rtol=0.03)
