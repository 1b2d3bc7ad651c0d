"""DPM-Solver++(2M), against the algorithm written out on a Gaussian, and DDIM."""

import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise
from jgm.samplers.ddim import ddim
from jgm.samplers.dpm_solver import dpm_solver
from jgm.samplers.timesteps import timestep_pairs


def written_out(path, gaussian, pairs, x):
  """Lu et al.'s algorithm 2, with lambda = log(alpha / sigma)."""
  level = lambda t: np.log(path.alpha(t) / path.sigma(t))
  previous = h_previous = None
  for t, s in pairs:
    x_0_hat = gaussian.estimate(path, x, t)
    if path.sigma(s) == 0:
      return x_0_hat
    h = level(s) - level(t)
    d = x_0_hat
    if previous is not None:
      r = h_previous / h
      d = (1 + 1 / (2 * r)) * x_0_hat - 1 / (2 * r) * previous
    x = path.sigma(s) / path.sigma(t) * x - path.alpha(s) * np.expm1(-h) * d
    previous, h_previous = x_0_hat, h
  return x


def test_it_is_the_algorithm_written_out(path, gaussian, run_float64):
  schedule = path.schedule
  x_T = np.random.default_rng(0).standard_normal((3, 2))
  pairs = (
    timestep_pairs(schedule, 5)
    if schedule.num_steps
    else timestep_pairs(schedule._replace(last=0.98), 5)
  )
  denoiser = gaussian.denoiser(schedule)
  actual = run_float64(dpm_solver, denoiser, schedule, x_T, timesteps=pairs)
  wanted = written_out(path, gaussian, pairs, x_T)
  np.testing.assert_allclose(actual, wanted, rtol=1e-9)


def test_a_first_and_a_last_step_are_ddims(gaussian, paths, run_float64):
  """Also from pure noise, after which one more step is: no log-SNR came before."""
  x_T = np.random.default_rng(0).standard_normal((3, 2))
  schedule = paths["rectified"].schedule
  denoiser = gaussian.denoiser(schedule)
  for pairs in ([[1.0, 0.6], [0.6, 0.3]], [[0.9, 0.4], [0.4, -1]], [[1.0, -1]]):
    run = lambda sampler, pairs=pairs, **options: run_float64(
      sampler, denoiser, schedule, x_T, timesteps=pairs, **options
    )
    np.testing.assert_allclose(run(dpm_solver), run(ddim, key=None), rtol=1e-12)


def test_bad_input_is_named():
  with pytest.raises(ValueError, match="give timesteps"):
    dpm_solver(lambda x_t, t: x_t, noise.vp_schedule(), jnp.zeros((2, 2)))
