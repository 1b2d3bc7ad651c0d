"""Heun's method, against the algorithm written out on a Gaussian."""

import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise
from jgm.samplers.heun import heun
from jgm.samplers.timesteps import timestep_pairs


def written_out(path, gaussian, pairs, x):
  """Karras et al.'s algorithm 1, in y = x / alpha and u = sigma / alpha.

  From where u is over 100: in z = x / sigma and r = alpha / sigma.
  """
  level = lambda t: path.sigma(t) / path.alpha(t)
  estimate = lambda x, t: gaussian.estimate(path, x, t)

  def slope(y, t):
    return (y - estimate(y * path.alpha(t), t)) / level(t)

  for t, s in pairs:
    if level(t) > 100:
      z, h = x / path.sigma(t), 1 / level(s) - 1 / level(t)
      d = estimate(x, t)
      x = path.sigma(s) * (z + 0.5 * h * (d + estimate(path.sigma(s) * (z + h * d), s)))
      continue
    y, h = x / path.alpha(t), level(s) - level(t)
    d = slope(y, t)
    y_s = y + h * d
    if path.sigma(s) > 0:
      y_s = y + 0.5 * h * (d + slope(y_s, s))
    x = path.alpha(s) * y_s
  return x


def test_it_is_the_algorithm_written_out(path, gaussian, run_float64):
  schedule = path.schedule
  x_T = np.random.default_rng(0).standard_normal((3, 2))
  pairs = (
    timestep_pairs(schedule, 5)
    if schedule.num_steps
    else timestep_pairs(schedule._replace(last=0.98), 5, spacing="karras")
  )
  denoiser = gaussian.denoiser(schedule)
  actual = run_float64(heun, denoiser, schedule, x_T, timesteps=pairs)
  wanted = written_out(path, gaussian, pairs, x_T)
  np.testing.assert_allclose(actual, wanted, rtol=1e-9)


def test_from_pure_noise_the_mean_estimate_is_followed(gaussian, paths, run_float64):
  """Where alpha = 0: dz/dr = x_0_hat, in z = x / sigma and r = alpha / sigma."""
  path, x_T = paths["rectified"], np.random.default_rng(0).standard_normal((3, 2))
  first = gaussian.estimate(path, x_T, 1.0)
  second = gaussian.estimate(path, 0.6 * x_T + 0.4 * first, 0.6)
  wanted = 0.6 * (x_T + (0.4 / 0.6) * 0.5 * (first + second))
  denoiser = gaussian.denoiser(path.schedule)
  actual = run_float64(heun, denoiser, path.schedule, x_T, timesteps=[[1.0, 0.6]])
  np.testing.assert_allclose(actual, wanted, rtol=1e-9)


@pytest.mark.parametrize("schedule", [noise.rectified_schedule(), noise.vp_schedule()])
def test_the_denoiser_is_never_asked_about_clean_data(schedule):
  """There its answer would be 0 / 0, which no weight of 0 takes away."""
  denoiser = lambda x_t, t: x_t * (schedule.sigma(t) / schedule.sigma(t))[:, None]
  x = heun(denoiser, schedule, jnp.ones((2, 3)), timesteps=[[1.0, 0.4], [0.4, -1]])
  assert np.all(np.isfinite(x))


def test_bad_input_is_named():
  with pytest.raises(ValueError, match="give timesteps"):
    heun(lambda x_t, t: x_t, noise.vp_schedule(), jnp.zeros((2, 2)))
