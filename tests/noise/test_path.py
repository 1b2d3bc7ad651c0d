"""The posterior is Bayes' rule on every path; the learned variance is between two."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise

STEPS = {
  "one": (noise.linear_beta_schedule(100), 60, 59),
  "many": (noise.linear_beta_schedule(100), 99, 3),
  "cosine": (noise.cosine_schedule(100), 7, 0),
  "ladder": (noise.geometric_schedule(10), 9, 2),
  "between": (noise.linear_beta_schedule(100), 60.25, 41.5),
  "vp": (noise.vp_schedule(), 0.9, 0.2),
  "sub_vp": (noise.sub_vp_schedule(), 0.9, 0.2),
  "ve": (noise.ve_schedule(), 0.9, 0.2),
  "rectified": (noise.rectified_schedule(), 0.9, 0.2),
}


@pytest.mark.parametrize("name", STEPS)
def test_posterior_is_bayes_rule(name):
  """The product of N(x_s; alpha_s x_0, sigma_s^2) and N(x_t; a x_s, v), normalised."""
  schedule, t, s = STEPS[name]
  x_0, x_t = 0.7, -1.3
  a = schedule.alpha(t) / schedule.alpha(s)
  v = schedule.sigma(t) ** 2 - a**2 * schedule.sigma(s) ** 2
  precision = 1 / schedule.sigma(s) ** 2 + a**2 / v
  pull = schedule.alpha(s) * x_0 / schedule.sigma(s) ** 2 + a * x_t / v
  reverse = noise.posterior(schedule, t, s)
  mean = reverse.x_t_weight * x_t + reverse.x_0_weight * x_0
  np.testing.assert_allclose(reverse.variance, 1 / precision, rtol=1e-9)
  np.testing.assert_allclose(reverse.transition_variance, v, rtol=1e-9)
  np.testing.assert_allclose(mean, pull / precision, rtol=1e-9)


def test_pure_noise_says_nothing():
  """Where alpha_t = 0, x_s is drawn anew: from N(alpha_s x_0, sigma_s^2)."""
  reverse = noise.posterior(noise.rectified_schedule(), 1.0, 0.25)
  np.testing.assert_allclose(reverse[:3], (0.0, 0.75, 0.0625))


def test_the_learned_variance_is_between_its_bounds(key):
  schedule = noise.linear_beta_schedule(10)
  t = jnp.array([1, 5, 9])
  reverse = noise.posterior(schedule, t, t - 1)
  fraction = jax.random.uniform(key, (3, 2, 2))
  log_variance = jax.jit(noise.learned_log_variance)
  ends = [log_variance(reverse, jnp.full((3, 1), end)) for end in (0.0, 1.0)]
  np.testing.assert_allclose(jnp.exp(ends[0][:, 0]), reverse.variance, rtol=1e-5)
  large = reverse.transition_variance
  np.testing.assert_allclose(jnp.exp(ends[1][:, 0]), large, rtol=1e-5)
  small, large = (end[:, :, None] for end in ends)
  wanted = small + fraction * (large - small)
  np.testing.assert_allclose(log_variance(reverse, fraction), wanted, rtol=1e-5)


def test_the_learned_variance_is_finite_where_the_small_one_is_0():
  reverse = noise.posterior(noise.linear_beta_schedule(10), 0, noise.CLEAN)
  value, slope = jax.value_and_grad(
    lambda fraction: noise.learned_log_variance(reverse, fraction)[0]
  )(jnp.array([0.3]))
  np.testing.assert_allclose(value, np.log(reverse.transition_variance), rtol=1e-6)
  np.testing.assert_allclose(slope, 0.0, atol=1e-6)


def test_one_seed_is_one_lane_of_vmap(key):
  schedule = noise.linear_beta_schedule(10)
  x_0, eps = jax.random.normal(key, (2, 3, 4, 2))
  t = jnp.array([[0, 3, 9, 5], [1, 1, 2, 3], [-1, 0, 8, 9]])
  diffuse = jax.jit(lambda *arrays: noise.diffuse(*arrays, schedule))
  together = jax.jit(jax.vmap(diffuse))(x_0, eps, t)
  for i in range(3):
    np.testing.assert_allclose(together[i], diffuse(x_0[i], eps[i], t[i]), rtol=1e-6)


def test_data_and_noise_have_one_shape():
  x = jnp.ones((2, 3))
  with pytest.raises(AssertionError):
    noise.diffuse(x, x[:1], jnp.array([0, 1]), noise.linear_beta_schedule(10))
