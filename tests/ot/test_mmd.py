"""MMD: the closed form between Gaussians, no bias, blocks, and gradients."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from jgm.ot.gaussian_kernel import gaussian_kernel, median_bandwidth
from jgm.ot.mmd import squared_mmd


@pytest.fixture
def clouds():
  rng = np.random.default_rng(0)
  return rng.normal(size=(7, 3)), 0.5 + rng.normal(size=(5, 3))


def gaussian_mean_of_kernel(difference, variance, h):
  """E exp(-|X - Y|^2 / (2 h^2)) where X - Y is N(difference, variance)."""
  total = variance + h**2
  return h / np.sqrt(total) * np.exp(-0.5 * difference**2 / total)


def by_definition(x, y, a, b, h):
  """The unbiased estimate, pair by pair."""
  k = lambda p, q: np.exp(-np.sum((p - q) ** 2) / (2 * h**2))

  def within(x, a):
    pairs = [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j]
    weights = sum(a[i] * a[j] for i, j in pairs)
    return sum(a[i] * a[j] * k(x[i], x[j]) for i, j in pairs) / weights

  between = sum(
    a[i] * b[j] * k(x[i], y[j]) for i in range(len(x)) for j in range(len(y))
  )
  return within(x, a) + within(y, b) - 2 * between


def test_of_quadrature_nodes_it_is_the_closed_form_of_gaussians():
  """N(0.3, 1.2^2) and N(-0.5, 0.6^2): 40 nodes are good to more than 1e-10."""
  nodes, weights = np.polynomial.hermite_e.hermegauss(40)
  weights = weights / weights.sum()
  x, y, bandwidths = 0.3 + 1.2 * nodes, -0.5 + 0.6 * nodes, (0.7, 2.0)
  mean = gaussian_mean_of_kernel
  expected = sum(
    mean(0, 2 * 1.44, h) + mean(0, 2 * 0.36, h) - 2 * mean(0.8, 1.8, h)
    for h in bandwidths
  )
  with jax.enable_x64(True):
    kernel = gaussian_kernel(bandwidths)
    value = squared_mmd(
      x[:, None], y[:, None], weights, weights, kernel=kernel, unbiased=False
    )
  assert value == pytest.approx(expected, rel=1e-9)


def test_weighted_and_unbiased_it_is_its_definition(clouds):
  rng = np.random.default_rng(1)
  a, b = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(5))
  with jax.enable_x64(True):
    value = squared_mmd(*clouds, a, b, kernel=gaussian_kernel(0.9))
    uniform = squared_mmd(*clouds, kernel=gaussian_kernel(0.9))
  assert value == pytest.approx(by_definition(*clouds, a, b, 0.9), rel=1e-10)
  a, b = np.full(7, 1 / 7), np.full(5, 1 / 5)
  assert uniform == pytest.approx(by_definition(*clouds, a, b, 0.9), rel=1e-10)


def test_it_has_no_bias(key):
  """Of equal distributions the mean is zero, weights or none."""
  a = jnp.array([0.1, 0.1, 0.1, 0.2, 0.5])
  x, y = jax.random.normal(key, (2, 2000, 5, 2))
  estimate = lambda x, y: squared_mmd(x, y, a, kernel=gaussian_kernel(1.0))
  values = np.asarray(jax.jit(jax.vmap(estimate))(x, y))
  assert abs(values.mean()) < 4 * values.std() / np.sqrt(2000)
  assert 0.3 < (values < 0).mean() < 0.8


@pytest.mark.parametrize("width", [3, 6])
def test_blocks_change_neither_value_nor_gradient(width):
  """Below 5 dimensions distances are differences, above them a product."""
  x, y = np.random.default_rng(0).normal(size=(2, 7, width))
  with jax.enable_x64(True):
    loss = lambda x, y, block_size: squared_mmd(
      x, y, kernel=gaussian_kernel(2.0), block_size=block_size
    )
    both = jax.jit(jax.value_and_grad(loss, (0, 1)), static_argnums=2)
    whole, pieces = both(x, y, None), both(x, y, 3)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12),
      whole,
      pieces,
    )
    jax.test_util.check_grads(
      jax.jit(lambda x, y: loss(x, y, 3)), (x, y), order=1, modes=["rev"], rtol=1e-5
    )


def test_in_blocks_the_gradient_never_keeps_the_matrix():
  x = jnp.zeros((4096, 2))
  loss = lambda x, block_size: squared_mmd(
    x, x, kernel=gaussian_kernel(1.0), block_size=block_size
  )
  grad = jax.jit(jax.grad(loss), static_argnums=1)
  memory = grad.lower(x, 64).compile().memory_analysis().temp_size_in_bytes
  assert memory < 4096 * 4096 * 4 / 4


def test_equal_clouds_have_no_discrepancy_and_no_slope(clouds):
  x = jnp.asarray(clouds[0], jnp.float32)
  loss = lambda x, y: squared_mmd(
    x, y, kernel=gaussian_kernel([0.1, 1.0]), unbiased=False
  )
  value, slope = jax.value_and_grad(loss)(x, x)
  # Sums of terms of about 1, of which float32 has 7 digits.
  assert abs(value) < 1e-6
  np.testing.assert_allclose(slope, 0.0, atol=1e-6)


def test_the_median_distance(clouds):
  x, y = clouds
  pooled = np.concatenate([x, y])
  between = np.linalg.norm(pooled[:, None] - pooled[None], axis=-1)
  expected = np.median(between[np.triu_indices(12, 1)])
  assert median_bandwidth(x, y) == pytest.approx(expected, rel=1e-5)
  assert 0.5 < median_bandwidth(x, y, max_points=6) / expected < 2.0
  # It is positive where most points, or all, are the same.
  assert median_bandwidth(np.zeros((5, 1)), np.ones((1, 1))) == 1.0
  assert median_bandwidth(np.zeros((5, 1)), np.zeros((1, 1))) == 1.0
  np.testing.assert_array_equal(jax.grad(median_bandwidth)(x.astype("f"), y), 0.0)


def test_bad_input_is_refused(clouds):
  x, y = clouds
  kernel = gaussian_kernel(1.0)
  one = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
  for arguments, options, message in [
    ((x[:1], y), {}, "2 points"),
    ((x, y), {"b": one}, "on one point"),
    ((x, y), {"a": one}, "shape"),
    ((x, y[:, :2]), {}, "width"),
    ((x[0], y), {}, "shape"),
    ((x * np.nan, y), {}, "finite"),
    ((x, y), {"block_size": 0}, "block_size"),
  ]:
    with pytest.raises(ValueError, match=message):
      squared_mmd(*arguments, kernel=kernel, **options)
  for bandwidth in (0.0, -1.0, [], [1.0, np.nan]):
    with pytest.raises(ValueError, match="bandwidths"):
      gaussian_kernel(bandwidth)
  with pytest.raises(ValueError, match="max_points"):
    median_bandwidth(x, y, max_points=1)
