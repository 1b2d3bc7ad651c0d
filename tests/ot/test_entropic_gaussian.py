"""Entropic transport between Gaussians: against Sinkhorn on a fine grid, in numpy."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from scipy.special import logsumexp

from jgm.ot.bures import bures_wasserstein
from jgm.ot.entropic_gaussian import (
  entropic_gaussian_cost,
  entropic_gaussian_divergence,
  gaussian_potentials,
)
from jgm.ot.gaussian_map import gaussian_map

# Mean and standard deviation of either, in one dimension.
M_1, S_1, M_2, S_2 = 0.3, 1.2, -0.5, 0.6
LINE = (
  np.array([M_1]),
  np.array([[S_1**2]]),
  np.array([M_2]),
  np.array([[S_2**2]]),
)


@pytest.fixture
def pair():
  """Two Gaussians in three dimensions."""
  rng = np.random.default_rng(0)
  mean_1, mean_2 = rng.normal(size=(2, 3))
  a, b = rng.normal(size=(2, 3, 3)) + 1.5 * np.eye(3)
  return mean_1, a @ a.T, mean_2, b @ b.T


def grid(mean, std, n=300):
  """Points over 7 standard deviations either side, and the log of their weights.

  The trapezoidal rule of a Gaussian converges faster than any power of the step.
  """
  z = np.linspace(-7, 7, n)
  log_weight = -0.5 * z**2
  return mean + std * z, log_weight - logsumexp(log_weight)


def sinkhorn_in_the_log_domain(x, log_a, y, log_b, epsilon):
  cost, g = (x[:, None] - y[None, :]) ** 2, np.zeros(len(y))
  for _ in range(2000):
    f = -epsilon * logsumexp((g[None, :] - cost) / epsilon + log_b[None, :], axis=1)
    previous, g = (
      g,
      -epsilon * logsumexp((f[:, None] - cost) / epsilon + log_a[:, None], axis=0),
    )
    if np.abs(g - previous).max() < 1e-11:
      return f, g
  raise AssertionError("the reference has not converged")


@pytest.mark.parametrize("epsilon", [0.2, 1.0, 10.0])
def test_cost_and_potentials_are_sinkhorns(epsilon):
  x, log_a = grid(M_1, S_1)
  y, log_b = grid(M_2, S_2)
  f, g = sinkhorn_in_the_log_domain(x, log_a, y, log_b, epsilon)
  cost = np.exp(log_a) @ f + np.exp(log_b) @ g
  with jax.enable_x64(True):
    value = entropic_gaussian_cost(*LINE, epsilon=epsilon)
    f_hat, g_hat = gaussian_potentials(*LINE, epsilon=epsilon)
    f_hat, g_hat = np.asarray(f_hat(x[:, None])), np.asarray(g_hat(y[:, None]))
  # The grid leaves out the tails, of mass 1e-12, where the cost is up to 100.
  assert value == pytest.approx(cost, rel=1e-8)
  inner = slice(75, 225)
  # Up to a constant that goes from the one to the other, which is halved in ours.
  constant = np.exp(log_a) @ f - cost / 2
  np.testing.assert_allclose(f_hat[inner], f[inner] - constant, atol=1e-7)
  np.testing.assert_allclose(g_hat[inner], g[inner] + constant, atol=1e-7)


def test_the_potentials_solve_the_schroedinger_system(pair):
  """E exp((f(x) + g(Y) - |x - Y|^2) / epsilon) = 1, by quadrature in the plane."""
  mean_1, cov_1, mean_2, cov_2 = (value[:2] for value in pair)
  cov_1, cov_2 = cov_1[:, :2], cov_2[:, :2]
  nodes, weights = np.polynomial.hermite_e.hermegauss(60)
  weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
  z = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
  y = mean_2 + z @ np.linalg.cholesky(cov_2).T
  x, epsilon = mean_1 + np.array([[0.0, 0.0], [1.0, -2.0], [-0.5, 0.3]]), 5.0
  with jax.enable_x64(True):
    f, g = gaussian_potentials(mean_1, cov_1, mean_2, cov_2, epsilon=epsilon)
    f_x, g_y = np.asarray(f(x)), np.asarray(g(y))
    slope = np.asarray(jax.vmap(jax.grad(f))(x))
    move = gaussian_map(mean_1, cov_1, mean_2, cov_2, epsilon=epsilon)
    moved = np.asarray(move(x))
  squared = np.sum((x[:, None] - y[None, :]) ** 2, axis=-1)
  density = np.exp((f_x[:, None] + g_y[None, :] - squared) / epsilon)
  np.testing.assert_allclose(density @ weights, 1.0, rtol=1e-6)
  # The map is the mean under that density, and the potential's slope leads to it.
  mean = np.einsum("xy,y,yd->xd", density, weights, y)
  np.testing.assert_allclose(moved, mean, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(slope, 2 * (x - moved), rtol=1e-9)


def test_between_no_entropy_and_independence(pair):
  """From W_2^2 to the cost of the product, growing; also in float32."""
  cost = jax.jit(lambda epsilon: entropic_gaussian_cost(*pair, epsilon=epsilon))
  values = [float(cost(epsilon)) for epsilon in (1e-6, 1e-2, 1.0, 1e2, 1e8)]
  assert values == sorted(values)
  assert values[0] == pytest.approx(float(bures_wasserstein(*pair)), rel=1e-4)
  mean_1, cov_1, mean_2, cov_2 = pair
  product = np.sum((mean_1 - mean_2) ** 2) + np.trace(cov_1 + cov_2)
  assert values[-1] == pytest.approx(product, rel=1e-5)


def test_the_divergence_is_zero_and_flat_where_gaussians_agree(pair):
  mean, cov, *_ = (jnp.asarray(value, jnp.float32) for value in pair)
  divergence = lambda *gaussians: entropic_gaussian_divergence(*gaussians, epsilon=0.5)
  value, slopes = jax.value_and_grad(divergence, (0, 1, 2, 3))(mean, cov, mean, cov)
  assert abs(value) < 1e-5
  for slope in slopes:
    np.testing.assert_allclose(slope, 0.0, atol=1e-5)


def test_the_divergence_lies_between_means_and_distance(pair):
  """|mean_1 - mean_2|^2 at infinite epsilon, W_2^2 at none, and falling between."""
  with jax.enable_x64(True):
    divergence = lambda epsilon: entropic_gaussian_divergence(*pair, epsilon=epsilon)
    values = [float(divergence(epsilon)) for epsilon in (1e-9, 0.1, 1.0, 1e12)]
    distance = float(bures_wasserstein(*pair))
  assert values == sorted(values, reverse=True)
  assert values[0] == pytest.approx(distance, rel=1e-6)
  assert values[-1] == pytest.approx(np.sum((pair[0] - pair[2]) ** 2), rel=1e-6)


def test_gradients_are_finite_differences(pair):
  """Twice, in means, factors of the covariances and epsilon."""

  def cost(mean_1, a, mean_2, b, epsilon):
    return entropic_gaussian_cost(mean_1, a @ a.T, mean_2, b @ b.T, epsilon=epsilon)

  mean_1, cov_1, mean_2, cov_2 = pair
  factors = np.linalg.cholesky(cov_1), np.linalg.cholesky(cov_2)
  with jax.enable_x64(True):
    arguments = (mean_1, factors[0], mean_2, factors[1], 0.7)
    jax.test_util.check_grads(jax.jit(cost), arguments, order=2, rtol=1e-5)


def test_singular_covariances_have_the_true_gradient():
  """d / dt of the cost of diag(1, t) at t = 0: unlike Bures's, it is finite."""
  mean, cov_2 = np.zeros(2), np.eye(2)
  cost = lambda cov: entropic_gaussian_cost(mean, cov, mean, cov_2, epsilon=0.5)
  with jax.enable_x64(True):
    slope = jax.jit(jax.grad(cost))(np.diag([1.0, 0.0]))
    h = 1e-7
    forward = (cost(np.diag([1.0, h])) - cost(np.diag([1.0, 0.0]))) / h
  # Where nothing spreads, A is C_2 / (epsilon / 2): 1 - 4.
  assert slope[1, 1] == pytest.approx(-3.0, rel=1e-9)
  assert forward == pytest.approx(-3.0, rel=1e-4)


def test_bad_input_is_refused():
  for epsilon in (0.0, -1.0, np.nan, np.inf, [1.0]):
    with pytest.raises(ValueError, match="epsilon"):
      entropic_gaussian_cost(*LINE, epsilon=epsilon)
