"""Gaussian terms, against golden values, scipy and quadrature; finite at extremes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from jgm.losses.gaussian import (
  discretised_gaussian_log_prob,
  gaussian_kl,
  gaussian_log_prob,
  normal_log_cdf,
)


def test_kl_golden_values():
  """KL between N(m, exp(2 l)), of a published course's tests."""
  cases = [(2, 3, 4, 5), (2, 3, 0, 0), (10, 2, 3, 0), (10, 4, 5, 0)]
  mean_1, log_std_1, mean_2, log_std_2 = np.array(cases, np.float32).T[..., None]
  actual = jax.jit(gaussian_kl)(mean_1, 2 * log_std_1, mean_2, 2 * log_std_2)
  wanted = [1.50925, 200.2144, 49.2990, 1498.479]
  np.testing.assert_allclose(actual, wanted, rtol=2e-6)


def test_kl_is_zero_where_the_gaussians_agree_and_near_zero_beside(key):
  mean = jax.random.normal(key, (3, 2, 2))
  log_variance = mean - 1.0
  np.testing.assert_array_equal(gaussian_kl(mean, log_variance, mean, log_variance), 0)
  # the prior term of the bound: a variance off by d has d^2 / 4, here 4e-10 each
  small = jax.jit(gaussian_kl)(mean, jnp.float32(4e-5), mean, jnp.float32(0.0))
  np.testing.assert_allclose(small, 4 * (4e-5) ** 2 / 4, rtol=1e-2, atol=1e-11)


def test_log_prob_golden_values():
  """Minus log N(x; m, exp(2 l)), of a published course's tests."""
  x, mean, log_std = jnp.array([[2.0], [5.0]]), jnp.array([[2.0], [-3.0]]), [3.0, 6.0]
  actual = -jax.jit(gaussian_log_prob)(x, mean, 2 * jnp.array(log_std)[:, None])
  np.testing.assert_allclose(actual, [3.9189, 6.9191], atol=5e-5)


def test_log_cdf_equals_scipy_and_has_a_gradient_everywhere():
  x = np.concatenate([-np.logspace(-4, 8, 200), [0.0], np.logspace(-4, 0.5, 40)])
  x = x.astype(np.float32)
  value, slope = jax.jit(jax.vmap(jax.value_and_grad(normal_log_cdf)))(x)
  wanted = scipy.special.log_ndtr(x.astype(np.float64))
  np.testing.assert_allclose(value, wanted, rtol=6e-6, atol=1e-7)
  # the hazard: phi / Phi, by scipy's scaled erfc where both underflow
  hazard = np.sqrt(2 / np.pi) / scipy.special.erfcx(-x.astype(np.float64) / np.sqrt(2))
  np.testing.assert_allclose(slope, hazard, rtol=3e-5)


def bin_log_mass(lower, upper):
  """log of the normal mass of [lower, upper] by quadrature, from its nearer end."""
  if lower < 0 < upper:
    return np.log(scipy.stats.norm.cdf(upper) - scipy.stats.norm.cdf(lower))
  near = min(abs(lower), abs(upper))
  width = min(upper - lower, 40.0 / max(near, 1.0))  # beyond it, less than exp(-40)
  mass, _ = scipy.integrate.quad(lambda u: np.exp(-near * u - u * u / 2), 0, width)
  return -(near**2) / 2 - np.log(np.sqrt(2 * np.pi)) + np.log(mass)


@pytest.mark.parametrize("log_std", [-9.0, -4.9, -2.0, 0.0, 1.5, 5.0])
def test_a_bin_has_the_mass_of_its_integral(log_std):
  """From bins of a hundred standard deviations to bins of a ten-thousandth of one."""
  levels, std = 17, np.exp(log_std)
  width = 2 / (levels - 1)
  middles = np.arange(1, levels - 1) * width - 1
  x, mean = np.meshgrid(middles, [-3.0, -0.97, -0.03, 0.0, 0.2, 1.5], indexing="ij")
  lower, upper = (x - width / 2 - mean) / std, (x + width / 2 - mean) / std
  wanted = np.vectorize(bin_log_mass)(lower, upper)
  actual = jax.jit(discretised_gaussian_log_prob, static_argnames="levels")(
    jnp.asarray(x.reshape(-1, 1), jnp.float32),
    jnp.asarray(mean.reshape(-1, 1), jnp.float32),
    jnp.float32(2 * log_std),
    levels=levels,
  )
  # float32 knows the distance to 1e-7, and so the log mass to its slope times that
  slope = np.minimum(np.abs(lower), np.abs(upper)).reshape(-1) / std
  error = np.abs(actual - wanted.reshape(-1))
  assert np.all(error < 3e-5 + 4e-7 * (np.abs(wanted.reshape(-1)) + slope))


@pytest.mark.parametrize(("levels", "low", "high"), [(2, 0.0, 1.0), (256, -1.0, 1.0)])
def test_the_masses_of_all_levels_sum_to_one(levels, low, high):
  """Only if the outer bins are open."""
  x = jnp.linspace(low, high, levels)
  mean, log_variance = np.meshgrid([-40, -1, 0.3, 0.9999, 7], [-12, -3, 0, 8])

  def log_mass(mean, log_variance):
    mean = jnp.full((levels, 1), mean)
    return discretised_gaussian_log_prob(
      x[:, None], mean, log_variance, levels=levels, low=low, high=high
    )

  log_mass = jax.jit(jax.vmap(log_mass))(
    mean.reshape(-1).astype(np.float32), log_variance.reshape(-1).astype(np.float32)
  )
  np.testing.assert_allclose(scipy.special.logsumexp(log_mass, axis=1), 0, atol=5e-5)


def five_levels(mean, log_variance):
  x = jnp.array([[-1.0, -0.5, 0.0, 0.5, 1.0]])
  return discretised_gaussian_log_prob(x, mean, log_variance, levels=5)


def test_extremes_are_finite_in_value_and_gradient():
  both = jax.value_and_grad(lambda *args: jnp.sum(five_levels(*args)), argnums=(0, 1))
  mean, log_variance = np.meshgrid(
    [-1e7, -100.0, -0.5, 0.0, 0.25, 1.0, 1e4, 1e7], [-40, -20, -9, 0, 3, 20, 40]
  )
  full = lambda a: jnp.asarray(
    np.broadcast_to(a.reshape(-1, 1, 1), (a.size, 1, 5)), "f"
  )
  chex.assert_tree_all_finite(jax.jit(jax.vmap(both))(full(mean), full(log_variance)))


def test_values_and_gradients_equal_scipy_with_open_ends():
  """Narrow bins (log variance 11) and wide ones, the first and the last included."""
  x, mean = np.linspace(-1, 1, 5), np.linspace(0.5, -0.3, 5)

  def reference(mean, log_variance):
    cdf = lambda edge: scipy.stats.norm.cdf(edge, mean, np.exp(log_variance / 2))
    return np.log(
      np.where(x == 1, 1, cdf(x + 0.25)) - np.where(x == -1, 0, cdf(x - 0.25))
    )

  each = lambda mean, log_variance: five_levels(mean[None], log_variance[None])[0]
  both = jax.jit(jax.value_and_grad(each, argnums=(0, 1)))
  for log_variance in (-3.0, 0.0, 11.0):
    value, slopes = both(
      jnp.asarray(mean, "f"), jnp.full((5,), log_variance, jnp.float32)
    )
    np.testing.assert_allclose(value, reference(mean, log_variance).sum(), rtol=1e-5)
    for slope, (d_mean, d_log) in zip(slopes, ((1e-4, 0), (0, 1e-4)), strict=True):
      up = reference(mean + d_mean, log_variance + d_log)
      down = reference(mean - d_mean, log_variance - d_log)
      np.testing.assert_allclose(slope, (up - down) / 2e-4, rtol=2e-3, atol=1e-6)


def test_bad_input_is_named():
  x = jnp.zeros((2, 3))
  with pytest.raises(ValueError, match="levels=1"):
    discretised_gaussian_log_prob(x, x, x, levels=1)
  with pytest.raises(ValueError, match=r"low=1.0, high=0.0"):
    discretised_gaussian_log_prob(x, x, x, levels=4, low=1.0, high=0.0)
  for loss in (gaussian_log_prob, lambda *args: gaussian_kl(*args[:2], x, x)):
    with pytest.raises(AssertionError):
      loss(x[:, :2], x, x) if loss is gaussian_log_prob else loss(x[:, :2], x)
