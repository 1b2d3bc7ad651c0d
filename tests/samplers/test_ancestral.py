"""Ancestral sampling, against its own exact recursion on a Gaussian."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jgm.noise import linear_beta_schedule, make_denoiser
from jgm.samplers.ancestral import ancestral
from jgm.samplers.timesteps import timestep_pairs


def ddpm_step(variance):
  """The weights of DDPM's eq. 7 from a_t to any less noisy a_s, and what it adds."""

  def step(a_t, a_s):
    beta = 1 - a_t / a_s
    x_t_weight = np.sqrt(1 - beta) * (1 - a_s) / (1 - a_t)
    small = (1 - a_s) / (1 - a_t) * beta
    added = small if variance == "small" or a_s == 1 else beta
    return x_t_weight, np.sqrt(a_s) * beta / (1 - a_t), added

  return step


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("num_steps", [100, 7])
def test_moments_on_a_correlated_gaussian(
  variance, num_steps, gaussian, assert_moments, key
):
  pairs = timestep_pairs(num_steps, 100)
  key_x, key_walk = jax.random.split(key)

  @jax.jit
  def sample(x_T, key):
    return ancestral(
      gaussian.denoiser,
      gaussian.schedule,
      x_T,
      key,
      timesteps=pairs,
      variance=variance,
    )

  samples = sample(jax.random.normal(key_x, (20_000, 2)), key_walk)
  assert_moments(samples, *gaussian.moments(pairs, ddpm_step(variance)))


def test_the_small_variance_is_a_third_too_small_on_narrow_data(
  narrow_gaussian, assert_moments, key
):
  """The discretisation's own bias at T = 100: -36%, by the recursion and by samples."""
  pairs = timestep_pairs(100, 100)
  mean, covariance = narrow_gaussian.moments(pairs, ddpm_step("small"))
  np.testing.assert_allclose(covariance[0, 0] / 0.01 - 1, -0.36, atol=0.005)
  key_x, key_walk = jax.random.split(key)
  sample = jax.jit(
    lambda x_T, key: ancestral(
      narrow_gaussian.denoiser, narrow_gaussian.schedule, x_T, key
    )
  )
  samples = sample(jax.random.normal(key_x, (20_000, 1)), key_walk)
  assert_moments(samples, mean, covariance)


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


def test_bad_input_is_named(gaussian, key):
  x_T = jnp.zeros((2, 2))
  with pytest.raises(ValueError, match=r"unknown variance 'medium'.*'small', 'large'"):
    ancestral(gaussian.denoiser, gaussian.schedule, x_T, key, variance="medium")
  with pytest.raises(ValueError, match="100 steps have no 101 frames"):
    ancestral(gaussian.denoiser, gaussian.schedule, x_T, key, num_frames=101)
  with pytest.raises(AssertionError):
    ancestral(lambda x_t, t: x_t[:, :1], gaussian.schedule, x_T, key)
