"""Euler and Maruyama's steps, against their own exact recursion on a Gaussian."""

import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise
from jgm.samplers.euler_maruyama import euler_maruyama
from jgm.samplers.timesteps import timestep_pairs


def euler_maruyama_step(path, t, s):
  """x - h (f x - g^2 score), with the score of N(alpha x_0_hat, sigma^2)."""
  if path.sigma(s) == 0:
    return 0.0, 1.0, 0.0
  h, f, squared_g = t - s, path.drift(t), path.squared_diffusion(t)
  score_x_t, score_x_0 = -1 / path.sigma(t) ** 2, path.alpha(t) / path.sigma(t) ** 2
  return 1 - h * f + h * squared_g * score_x_t, h * squared_g * score_x_0, h * squared_g


def test_moments_on_every_path(path, check_recursion):
  schedule = path.schedule
  if schedule.num_steps:
    pairs = timestep_pairs(schedule, 50)
  else:
    pairs = timestep_pairs(schedule._replace(last=0.9), 25, spacing="log_snr")
  check_recursion(euler_maruyama, path, pairs, euler_maruyama_step)


def test_the_last_step_is_the_denoisers_estimate(key):
  point = lambda x_t, t: jnp.full_like(x_t, 0.25)
  schedule = noise.ve_schedule()
  for pairs in ([[1.0, 0.5], [0.5, -1]], [[0.5, -1]]):
    x_0 = euler_maruyama(point, schedule, jnp.ones((3, 2)), key, timesteps=pairs)
    np.testing.assert_array_equal(x_0, 0.25)
  # and where the path itself has no noise left, too
  schedule = noise.rectified_schedule()
  x_0 = euler_maruyama(point, schedule, jnp.ones((3, 2)), key, timesteps=[[0.5, 0.0]])
  np.testing.assert_array_equal(x_0, 0.25)


def test_bad_input_is_named(key):
  schedule = noise.rectified_schedule()
  sample = lambda pairs: euler_maruyama(
    lambda x_t, t: x_t, schedule, jnp.zeros((2, 2)), key, timesteps=pairs
  )
  with pytest.raises(ValueError, match=r"drift is infinite at t = 1: begin below"):
    sample([[1.0, 0.5], [0.5, -1]])
  with pytest.raises(ValueError, match="no noise to take away"):
    sample([[0.5, 0.0], [0.0, -1]])
  with pytest.raises(ValueError, match="give timesteps"):
    sample(None)
