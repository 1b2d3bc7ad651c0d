"""Score matching, against closed forms of linear scores and autodiff's Jacobians."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.data.gaussian_mixture import (
  gaussian_ring,
  mixture_log_density,
  mixture_sample,
  mixture_score,
)
from jgm.losses.regression import squared_error
from jgm.losses.score import (
  denoising_score_matching,
  hutchinson_score_matching,
  implicit_score_matching,
  sliced_score_matching,
  weighted_denoising_score_matching,
)

D = 3
MEAN = np.array([0.5, -1.0, 0.2])
FACTOR = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [-0.3, 0.4, 0.5]])
COVARIANCE = FACTOR @ FACTOR.T
A = np.array([[-0.7, 0.2, 0.1], [0.4, -1.1, 0.3], [-0.2, 0.0, 0.5]])
B = np.array([0.3, -0.2, 0.8])
COPIES = 20_000


def sigma_points(dimensions):
  """Points of mean 0 and covariance I exactly: enough for what is quadratic."""
  points = np.sqrt(dimensions) * np.eye(dimensions)
  return np.concatenate([points, -points])


def linear(params, x):
  return x @ params[0].T + params[1][None]


def value_and_slopes(loss, params):
  """Of the mean over the batch, with and without compilation."""
  params = jax.tree.map(jnp.float32, params)
  both = jax.value_and_grad(lambda params: jnp.mean(loss(params)))
  plain, compiled = both(params), jax.jit(both)(params)
  chex.assert_trees_all_close(plain, compiled, atol=1e-5, rtol=1e-5)
  return compiled


def assert_mean(samples, wanted):
  """Within 4 standard errors."""
  samples = np.asarray(samples, np.float64)
  standard_error = samples.std(0) / np.sqrt(len(samples))
  assert np.all(samples.std(0) > 0)
  error = (samples.mean(0) - wanted) / standard_error
  assert np.all(np.abs(error) < 4), f"off by {error} standard errors"


def test_implicit_of_a_linear_score_has_its_closed_form():
  x = jnp.asarray(MEAN + sigma_points(D) @ FACTOR.T, jnp.float32)
  loss = lambda params: implicit_score_matching(lambda x: linear(params, x), x)
  value, (slope_a, slope_b) = value_and_slopes(loss, (A, B))
  second_moment = COVARIANCE + np.outer(MEAN, MEAN)
  squares = np.sum((A @ MEAN + B) ** 2) + np.trace(A @ COVARIANCE @ A.T)
  np.testing.assert_allclose(value, 0.5 * squares + np.trace(A), rtol=1e-5)
  wanted_a = A @ second_moment + np.outer(B, MEAN) + np.eye(D)
  np.testing.assert_allclose(slope_a, wanted_a, atol=1e-5)
  np.testing.assert_allclose(slope_b, A @ MEAN + B, atol=1e-5)


def test_implicit_is_least_at_the_score_of_the_data():
  x = jnp.asarray(MEAN + sigma_points(D) @ FACTOR.T, jnp.float32)
  loss = lambda params: implicit_score_matching(lambda x: linear(params, x), x)
  precision = np.linalg.inv(COVARIANCE)
  value, slopes = value_and_slopes(loss, (-precision, precision @ MEAN))
  np.testing.assert_allclose(value, -np.trace(precision) / 2, rtol=1e-5)
  chex.assert_trees_all_close(slopes, jax.tree.map(jnp.zeros_like, slopes), atol=1e-4)


def test_the_trace_is_of_each_example_whatever_its_shape(key):
  """Against the Jacobian of one example at a time, by the other mode of autodiff."""

  def score(x):
    mixed = jnp.roll(x, 1, axis=1) * jnp.cos(x) + jnp.sum(x, axis=3, keepdims=True) ** 2
    return jnp.sin(mixed) * x

  x = jax.random.normal(key, (4, 2, 3, 2))
  each = jax.jit(jax.vmap(jax.jacrev(lambda x: score(x[None])[0])))
  jacobian = each(x).reshape(4, 12, 12)
  wanted = 0.5 * np.sum(score(x) ** 2, axis=(1, 2, 3)) + np.trace(jacobian, 0, 1, 2)
  actual = jax.jit(lambda x: implicit_score_matching(score, x))(x)
  np.testing.assert_allclose(actual, wanted, rtol=1e-4)


def test_implicit_of_a_mixture(key):
  """The trace is the Laplacian of its log-density; the mean at its score is known."""
  mixture = gaussian_ring(3, radius=1.0, scale=0.6)
  x, _ = mixture_sample(mixture, key, COPIES)
  loss = jax.jit(
    lambda x: implicit_score_matching(lambda x: mixture_score(mixture, x), x)
  )(x)
  some = x[:20]
  hessian = jax.hessian(lambda x: mixture_log_density(mixture, x[None])[0])
  laplacian = np.trace(jax.jit(jax.vmap(hessian))(some), 0, 1, 2)
  squares = np.sum(np.square(mixture_score(mixture, x)), axis=1)
  np.testing.assert_allclose(loss[:20], squares[:20] / 2 + laplacian, atol=2e-5)
  # 1/2 E ||s||^2 + E tr = -1/2 E ||s||^2, by parts
  assert_mean(loss + squares / 2, 0.0)


@pytest.mark.parametrize(
  ("loss", "option"),
  [
    (hutchinson_score_matching, "num_probes"),
    (sliced_score_matching, "num_projections"),
  ],
)
def test_random_directions_are_right_on_average(loss, option, key):
  score = lambda x: jnp.sin(x @ jnp.asarray(A, jnp.float32)) + x**2
  x = jnp.array([[0.4, -0.9, 1.3], [1.0, 0.2, -0.6]])
  exact = implicit_score_matching(score, x)
  copies = jnp.repeat(x, COPIES, axis=0)
  estimates = []
  for number, key_loss in zip((1, 5), jax.random.split(key), strict=True):
    of = lambda x, key, number=number: loss(score, x, key, **{option: number})
    estimates.append(np.reshape(jax.jit(of)(copies, key_loss), (2, COPIES)).T)
    assert_mean(estimates[-1], exact)
  # the directions are independent: the mean of 5 has a fifth of the variance
  few, many = estimates
  np.testing.assert_allclose(many.var(0) / few.var(0), 0.2, rtol=0.1)


def test_random_signs_are_exact_where_nothing_is_off_the_diagonal(key):
  key_x, key_probes, key_slices = jax.random.split(key, 3)
  x = jax.random.normal(key_x, (5, 2, 3))
  score = lambda x: jnp.tanh(x) - x
  probed = jax.jit(lambda *args: hutchinson_score_matching(score, *args))(x, key_probes)
  np.testing.assert_allclose(probed, implicit_score_matching(score, x), rtol=1e-5)
  # and in one dimension (v^T s)^2 is s^2, so slices are exact too
  line = x.reshape(-1, 1)
  sliced = jax.jit(lambda *args: sliced_score_matching(score, *args))(line, key_slices)
  np.testing.assert_allclose(sliced, implicit_score_matching(score, line), rtol=1e-5)


@pytest.mark.parametrize(
  ("loss", "weight"),
  [(denoising_score_matching, 1.0), (weighted_denoising_score_matching, 0.4**2)],
)
def test_denoising_is_least_at_the_score_of_the_noisy_data(loss, weight):
  alpha, sigma = 0.8, 0.4
  z, eps = np.split(sigma_points(2 * D), 2, axis=1)
  x_t = jnp.asarray(alpha * (MEAN + z @ FACTOR.T) + sigma * eps, jnp.float32)
  eps, sigmas = jnp.asarray(eps, jnp.float32), jnp.full(len(eps), sigma)
  of = lambda params: loss(linear(params, x_t), eps, sigmas)
  noisy = np.linalg.inv(alpha**2 * COVARIANCE + sigma**2 * np.eye(D))
  value, slopes = value_and_slopes(of, (-noisy, alpha * noisy @ MEAN))
  # the variance of -eps / sigma, less what x_t tells of it
  wanted = 0.5 * weight * (D / sigma**2 - np.trace(noisy))
  np.testing.assert_allclose(value, wanted, rtol=1e-5)
  chex.assert_trees_all_close(slopes, jax.tree.map(jnp.zeros_like, slopes), atol=3e-5)
  elsewhere, _ = value_and_slopes(of, (-0.9 * noisy, alpha * noisy @ MEAN))
  assert elsewhere > value


def test_the_weight_of_ncsn_is_sigma_squared(key):
  score_hat, eps = jax.random.normal(key, (2, 4, 2, 3))
  sigma = jnp.array([0.01, 0.5, 1.0, 30.0])
  weighted = jax.jit(weighted_denoising_score_matching)(score_hat, eps, sigma)
  plain = jax.jit(denoising_score_matching)(score_hat, eps, sigma)
  np.testing.assert_allclose(weighted, sigma**2 * plain, rtol=1e-5)
  eps_hat = -sigma[:, None, None] * score_hat
  np.testing.assert_allclose(weighted, 6 / 2 * squared_error(eps_hat, eps), rtol=1e-5)
  by_hand = 0.5 * np.sum((np.asarray(score_hat[1]) + np.asarray(eps[1]) / 0.5) ** 2)
  np.testing.assert_allclose(plain[1], by_hand, rtol=1e-5)


def test_extremes_are_finite_in_value_and_gradient(key):
  key_x, key_slices = jax.random.split(key)
  score_hat, eps = jax.random.normal(key_x, (2, 3, D))
  for loss, least in (
    (weighted_denoising_score_matching, 0.0),
    (denoising_score_matching, 1e-15),
  ):
    both = jax.value_and_grad(lambda *args, loss=loss: jnp.sum(loss(*args)))
    sigma = jnp.array([least, 1e-8, 1e4])
    chex.assert_tree_all_finite(jax.jit(both)(1e4 * score_hat, eps, sigma))
  far = jnp.array([[-1e4, 0.0], [1e4, 1e-30]])
  ring = gaussian_ring(scale=0.01)
  for loss, *keys in ((implicit_score_matching,), (sliced_score_matching, key_slices)):
    total = lambda c, loss=loss, keys=keys: jnp.sum(
      loss(lambda x: c * mixture_score(ring, x), far, *keys)
    )
    chex.assert_tree_all_finite(jax.jit(jax.value_and_grad(total))(1.0))
  assert implicit_score_matching(jnp.sin, jnp.zeros((0, D))).shape == (0,)


def test_bad_input_is_named(key):
  x, cut = jnp.zeros((2, D)), lambda x: x[:, :2]
  keys = iter(jax.random.split(key, 4))
  for loss, option in (
    (hutchinson_score_matching, "num_probes"),
    (sliced_score_matching, "num_projections"),
  ):
    with pytest.raises(ValueError, match="at least one random direction"):
      loss(jnp.sin, x, next(keys), **{option: 0})
    with pytest.raises(AssertionError):
      loss(cut, x, next(keys))
  with pytest.raises(AssertionError):
    implicit_score_matching(cut, x)
  for loss in (denoising_score_matching, weighted_denoising_score_matching):
    with pytest.raises(AssertionError):
      loss(cut(x), x, jnp.ones(2))
    with pytest.raises((ValueError, TypeError)):  # a sigma for each of 3 examples
      loss(x, x, jnp.ones(3))
