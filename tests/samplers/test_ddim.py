"""DDIM, against its own exact recursion on a Gaussian and ancestral sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.noise import linear_beta_schedule, make_denoiser
from jgm.samplers.ancestral import ancestral
from jgm.samplers.ddim import ddim
from jgm.samplers.timesteps import timestep_pairs


def ddim_step(eta):
  """The weights of DDIM's eqs. 12 and 16, with eps_hat written out."""

  def step(a_t, a_s):
    variance = eta**2 * (1 - a_s) / (1 - a_t) * (1 - a_t / a_s)
    eps_weight = np.sqrt(1 - a_s - variance)
    x_t_weight = eps_weight / np.sqrt(1 - a_t)
    return x_t_weight, np.sqrt(a_s) - x_t_weight * np.sqrt(a_t), variance

  return step


@pytest.mark.parametrize(
  ("eta", "num_steps", "spacing"),
  [
    (0.0, 100, "linspace"),
    (0.0, 10, "quadratic"),
    (0.6, 12, "trailing"),
    (1.0, 5, "linspace"),
  ],
)
def test_moments_on_a_correlated_gaussian(
  eta, num_steps, spacing, gaussian, assert_moments, key
):
  pairs = timestep_pairs(num_steps, 100, spacing=spacing)
  key_x, key_walk = jax.random.split(key)
  sample = jax.jit(
    lambda x_T, key: ddim(
      gaussian.denoiser, gaussian.schedule, x_T, key, timesteps=pairs, eta=eta
    )
  )
  samples = sample(jax.random.normal(key_x, (20_000, 2)), key_walk)
  assert_moments(samples, *gaussian.moments(pairs, ddim_step(eta)))


@pytest.mark.parametrize("num_steps", [100, 9])
def test_with_eta_1_it_is_ancestral_sampling(num_steps, key):
  """The same noise and the same clipping, on a network that needs it."""
  schedule = linear_beta_schedule(100)
  network = lambda x_t, t: jnp.sin(3 * x_t) + 0.01 * t[:, None]
  denoiser = make_denoiser(network, schedule, "eps", clip=(-1.0, 1.0))
  pairs = timestep_pairs(num_steps, 100)

  @jax.jit
  def both(x_T, key):
    arguments = (denoiser, schedule, x_T, key)
    return (
      ancestral(*arguments, timesteps=pairs),
      ddim(*arguments, timesteps=pairs, eta=1.0),
      ddim(*arguments, timesteps=pairs, eta=0.9),
    )

  key_x, key_walk = jax.random.split(key)
  wanted, same, other = both(jax.random.normal(key_x, (50, 3)), key_walk)
  np.testing.assert_allclose(same, wanted, atol=1e-5)
  assert np.abs(other - wanted).max() > 1e-2


def test_with_eta_0_samples_are_a_function_of_the_noise_alone(gaussian, key):
  sample = jax.jit(
    lambda x_T, key: ddim(gaussian.denoiser, gaussian.schedule, x_T, key)
  )
  x_T = jnp.linspace(-1, 1, 8).reshape(4, 2)
  first, second = (sample(x_T, each) for each in jax.random.split(key))
  np.testing.assert_array_equal(first, second)
  # the path's exact end: the Gaussian's own quantiles, up to the bias of 100 steps
  values, vectors = np.linalg.eigh(gaussian.covariance)
  exact = gaussian.mean + np.asarray(x_T) @ (vectors * np.sqrt(values)) @ vectors.T
  np.testing.assert_allclose(first, exact, atol=0.06)


def test_bad_input_is_named(gaussian, key):
  for eta in (-0.1, 1.1, float("nan")):
    with pytest.raises(ValueError, match=r"eta must be in \[0, 1\]"):
      ddim(gaussian.denoiser, gaussian.schedule, jnp.zeros((2, 2)), key, eta=eta)
