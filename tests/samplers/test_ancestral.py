"""Ancestral sampling, against its own exact recursion on a Gaussian."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jgm.noise import linear_beta_schedule, make_denoiser
from jgm.samplers.ancestral import ancestral
from jgm.samplers.timesteps import timestep_pairs


def bayes_step(variance):
  """The product of q(x_s | x_0_hat) and q(x_t | x_s), and what is added to its mean."""

  def step(path, t, s):
    alpha_s, sigma_s = path.alpha(s), path.sigma(s)
    a = path.alpha(t) / alpha_s
    large = path.sigma(t) ** 2 - a**2 * sigma_s**2
    if sigma_s == 0:
      return 0.0, 1.0, 0.0
    small = 1 / (1 / sigma_s**2 + a**2 / large)
    added = {"small": small, "large": large, "learned": small**0.3 * large**0.7}
    return small * a / large, small * alpha_s / sigma_s**2, added[variance]

  return step


def learned(fraction):
  """The sampler, of a denoiser that also says how far to go to the large variance."""

  def sample(denoiser, *args, **kwargs):
    def both(x_t, t):
      return denoiser(x_t, t), jnp.full_like(x_t, fraction)

    return ancestral(both, *args, variance="learned", **kwargs)

  return sample


@pytest.mark.parametrize("variance", ["small", "large", "learned"])
def test_moments_on_every_path(path, variance, check_recursion):
  """DDPM's eq. 7 is this product where the variance is preserved."""
  spacing = None if path.schedule.num_steps else "log_snr"
  pairs = timestep_pairs(path.schedule, 6, spacing=spacing)
  sampler = functools.partial(ancestral, variance=variance)
  sampler = learned(0.7) if variance == "learned" else sampler
  check_recursion(sampler, path, pairs, bayes_step(variance))


def test_moments_over_all_steps(paths, check_recursion):
  pairs = timestep_pairs(paths["linear"].schedule, 100)
  check_recursion(ancestral, paths["linear"], pairs, bayes_step("small"))


def test_the_small_variance_is_a_third_too_small_on_narrow_data(narrow_gaussian, paths):
  """The discretisation's own bias at T = 100: -36%, by the recursion."""
  pairs = timestep_pairs(paths["linear"].schedule, 100)
  step = bayes_step("small")
  _, covariance = narrow_gaussian.moments(paths["linear"], pairs, step)
  np.testing.assert_allclose(covariance[0, 0] / 0.01 - 1, -0.36, atol=0.005)


def test_learned_ends_are_the_small_and_the_large(gaussian, paths, key):
  schedule = paths["cosine"].schedule
  denoiser, pairs = gaussian.denoiser(schedule), timestep_pairs(schedule, 4)
  x_T = jnp.linspace(-1, 1, 8).reshape(4, 2)
  noise = jax.random.normal(key, (4, 4, 2))

  @jax.jit
  def both(x_T):
    sample = lambda sampler, **options: sampler(
      denoiser, schedule, x_T, None, timesteps=pairs, noise=noise, **options
    )
    return [
      (sample(ancestral, variance=variance), sample(learned(fraction)))
      for variance, fraction in (("small", 0.0), ("large", 1.0))
    ]

  for fixed, between in both(x_T):
    np.testing.assert_allclose(between, fixed, atol=1e-5)


def clipped_denoiser(schedule):
  network = lambda x_t, t: jnp.sin(3 * x_t) + 0.01 * t[:, None, None]
  return make_denoiser(network, schedule, "eps", clip=(-1.0, 1.0))


def test_no_noise_is_added_by_the_last_step_and_seeds_are_lanes(key):
  """With a clip to one point, both variances end there; one trace serves all seeds."""
  schedule = linear_beta_schedule(6)
  clear = make_denoiser(lambda x, t: x, schedule, "x_0", clip=(0.25, 0.2500001))
  key_x, key_walk = jax.random.split(key)
  x_T, keys = jax.random.normal(key_x, (3, 4, 2, 2)), jax.random.split(key_walk, 3)
  chex.clear_trace_counter()

  @jax.jit
  @chex.assert_max_traces(n=1)
  def sample(x_T, keys):
    one = lambda x_T, key: (
      ancestral(clear, schedule, x_T, key, variance="large"),
      ancestral(clipped_denoiser(schedule), schedule, x_T, jax.random.clone(key)),
    )
    return jax.vmap(one)(x_T, keys), one(x_T[1], jax.random.clone(keys[1]))

  for _ in range(2):
    together, alone = sample(x_T, jax.random.clone(keys))
  np.testing.assert_allclose(together[0], 0.25, atol=1e-6)
  np.testing.assert_allclose(together[1][1], alone[1], atol=1e-5)
  assert np.std(together[1]) > 0.1


def test_samples_do_not_depend_on_the_number_of_devices(key):
  schedule = linear_beta_schedule(6)
  sample = jax.jit(
    lambda x_T, key: ancestral(clipped_denoiser(schedule), schedule, x_T, key)
  )
  key_x, key_walk = jax.random.split(key)
  x_T = jax.random.normal(key_x, (8, 3, 3))
  mesh = Mesh(np.array(jax.devices()), ("data",))
  sharded = jax.device_put(x_T, NamedSharding(mesh, PartitionSpec("data")))
  np.testing.assert_allclose(
    sample(x_T, key_walk), sample(sharded, jax.random.clone(key_walk)), atol=1e-6
  )


def test_the_trajectory_is_what_the_denoiser_saw(key):
  schedule = linear_beta_schedule(9)
  denoiser = clipped_denoiser(schedule)
  x_T = jnp.linspace(-1, 1, 8).reshape(2, 2, 2)
  sample = jax.jit(ancestral, static_argnums=(0, 1), static_argnames="num_frames")
  samples, frames = sample(denoiser, schedule, x_T, key, num_frames=4)
  np.testing.assert_array_equal(frames.t, [8, 5, 3, 0])
  np.testing.assert_array_equal(frames.x_t[0], x_T)
  for t, x_t, x_0_hat in zip(frames.t, frames.x_t, frames.x_0_hat, strict=True):
    np.testing.assert_allclose(denoiser(x_t, jnp.full((2,), t)), x_0_hat, atol=1e-5)
  np.testing.assert_allclose(frames.x_0_hat[-1], samples, atol=1e-6)
  without = sample(denoiser, schedule, x_T, jax.random.clone(key))
  np.testing.assert_allclose(without, samples, atol=1e-6)


def test_bad_input_is_named(gaussian, paths, key):
  schedule, x_T = paths["linear"].schedule, jnp.zeros((2, 2))
  sample = lambda **options: ancestral(
    gaussian.denoiser(schedule), schedule, x_T, key, **options
  )
  with pytest.raises(ValueError, match=r"unknown variance 'medium'.*'learned'"):
    sample(variance="medium")
  with pytest.raises(ValueError, match="100 steps have no 101 frames"):
    sample(num_frames=101)
  with pytest.raises(ValueError, match="follow on each other"):
    sample(timesteps=[[5, 9], [9, -1]])
  with pytest.raises(AssertionError):
    sample(noise=jnp.zeros((99, 2, 2)))
  with pytest.raises(ValueError, match="needs a key"):
    ancestral(gaussian.denoiser(schedule), schedule, x_T, None)
  with pytest.raises(AssertionError):
    ancestral(lambda x_t, t: x_t[:, :1], schedule, x_T, key)
