"""DDIM, against its own exact recursion on a Gaussian and ancestral sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.noise import linear_beta_schedule, make_denoiser, rectified_schedule
from jgm.samplers.ancestral import ancestral
from jgm.samplers.ddim import ddim
from jgm.samplers.timesteps import timestep_pairs


def ddim_step(eta):
  """The weights of DDIM's eqs. 12 and 16, with eps_hat written out."""

  def step(path, t, s):
    alpha_t, sigma_t, alpha_s, sigma_s = (
      f(time) for time in (t, s) for f in (path.alpha, path.sigma)
    )
    forward = sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2
    variance = eta**2 * (sigma_s / sigma_t) ** 2 * forward
    eps_weight = np.sqrt(sigma_s**2 - variance)
    x_t_weight = eps_weight / sigma_t
    return x_t_weight, alpha_s - x_t_weight * alpha_t, variance

  return step


@pytest.mark.parametrize("eta", [0.6, 1.0])
def test_moments_on_every_path(path, eta, check_recursion):
  pairs = timestep_pairs(path.schedule, 7, spacing="karras")
  if path.schedule.num_steps:
    pairs = timestep_pairs(path.schedule, 7, spacing="quadratic")
  check_recursion(ddim, path, pairs, ddim_step(eta), eta=eta)


def test_without_noise_it_is_the_recursion_to_the_last_digit(
  path, gaussian, run_float64
):
  """Of each point, in float64."""
  x_T = np.random.default_rng(0).standard_normal((3, 2))
  pairs, x = timestep_pairs(path.schedule, 6), x_T
  for t, s in pairs:
    x_t_weight, x_0_weight, _ = ddim_step(0.0)(path, t, s)
    x = x_t_weight * x + x_0_weight * gaussian.estimate(path, x, t)
  denoiser = gaussian.denoiser(path.schedule)
  actual = run_float64(ddim, denoiser, path.schedule, x_T, key=None, timesteps=pairs)
  np.testing.assert_allclose(actual, x, rtol=1e-9)


def test_on_the_straight_path_it_is_eulers_method(gaussian, paths, run_float64):
  """x - h velocity(x, t), h = 1 / S, from t = 1 to 0."""
  path = paths["rectified"]
  x_T = np.random.default_rng(1).standard_normal((3, 2))
  schedule, x = rectified_schedule(), x_T
  for t in 1 - np.arange(5) / 5:
    x_0_hat = gaussian.estimate(path, x, t)
    x = x - (x - x_0_hat) / t / 5
  denoiser, pairs = gaussian.denoiser(schedule), timestep_pairs(schedule, 5)
  actual = run_float64(ddim, denoiser, schedule, x_T, key=None, timesteps=pairs)
  np.testing.assert_allclose(actual, x, rtol=1e-9)


@pytest.mark.parametrize("num_steps", [100, 9])
def test_with_eta_1_it_is_ancestral_sampling(num_steps, key):
  """The same noise and the same clipping, on a network that needs it."""
  schedule = linear_beta_schedule(100)
  network = lambda x_t, t: jnp.sin(3 * x_t) + 0.01 * t[:, None]
  denoiser = make_denoiser(network, schedule, "eps", clip=(-1.0, 1.0))
  pairs = timestep_pairs(schedule, num_steps)

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


def test_with_eta_0_samples_are_a_function_of_the_noise_alone(gaussian, paths, key):
  schedule = paths["linear"].schedule
  sample = jax.jit(
    lambda x_T, key: ddim(gaussian.denoiser(schedule), schedule, x_T, key)
  )
  x_T = jnp.linspace(-1, 1, 8).reshape(4, 2)
  first, second = (sample(x_T, each) for each in jax.random.split(key))
  np.testing.assert_array_equal(first, second)
  # the path's exact end: the Gaussian's own quantiles, up to the bias of 100 steps
  values, vectors = np.linalg.eigh(gaussian.covariance)
  exact = gaussian.mean + np.asarray(x_T) @ (vectors * np.sqrt(values)) @ vectors.T
  np.testing.assert_allclose(first, exact, atol=0.06)


def test_bad_input_is_named(gaussian, paths, key):
  schedule = paths["linear"].schedule
  for eta in (-0.1, 1.1, float("nan")):
    with pytest.raises(ValueError, match=r"eta must be in \[0, 1\]"):
      ddim(gaussian.denoiser(schedule), schedule, jnp.zeros((2, 2)), key, eta=eta)
