"""Euler's steps, on flows whose end and whose bending are known."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate

from jgm import noise
from jgm.samplers import ddim, timestep_pairs
from jgm.samplers.euler import euler, euler_path

MATRIX = jnp.array([[1.5, 0.4], [0.4, 0.3]])  # monotone: its paths do not cross
SHIFT = jnp.array([[0.7, -2.0]])


def straight(x_t, t):
  """The velocity of the straight paths from eps to MATRIX eps + SHIFT."""
  t = t[:, None, None]
  matrix = (1 - t) * MATRIX[None] + t * jnp.eye(2)[None]
  apart = (x_t - (1 - t[:, :, 0]) * SHIFT)[:, :, None]
  eps = jnp.linalg.solve(matrix, apart)[:, :, 0]
  return eps - (eps @ MATRIX.T + SHIFT)


def of_gaussian(scale):
  """The velocity of data N(0, scale^2), noised independently."""

  def velocity(x_t, t):
    t = t[:, None]
    return x_t * (t - (1 - t) * scale**2) / ((1 - t) ** 2 * scale**2 + t**2)

  return velocity


def test_one_step_of_a_straight_flow_is_exact(key):
  eps = jax.random.normal(key, (50, 2))
  for num_steps in (1, 7):
    flow = euler(straight, eps, num_steps)
    np.testing.assert_allclose(flow.x_0, eps @ MATRIX.T + SHIFT, atol=1e-5)
    np.testing.assert_allclose(flow.bending, 0.0, atol=1e-4)


def test_the_bending_of_a_gaussian_is_its_integral(key):
  """x_t = eps g(t), g^2 = (1 - t)^2 s^2 + t^2: eps^2 times g's variance."""
  scale = 0.3
  eps = jax.random.normal(key, (20, 1))
  rate = lambda t: (t - (1 - t) * scale**2) / np.sqrt((1 - t) ** 2 * scale**2 + t**2)
  exact = scipy.integrate.quad(lambda t: (rate(t) - (1 - scale)) ** 2, 0, 1)[0]
  flow = jax.jit(lambda eps, n: euler(of_gaussian(scale), eps, n))(eps, 2000)
  np.testing.assert_allclose(flow.bending, exact * eps[:, 0] ** 2, rtol=5e-3, atol=1e-6)
  np.testing.assert_allclose(flow.x_0, scale * eps, rtol=2e-3)


def test_these_are_ddims_steps_and_the_path_is_theirs(key):
  schedule = noise.rectified_schedule()
  velocity = of_gaussian(0.3)
  eps = jax.random.normal(key, (20, 3))
  denoiser = noise.make_denoiser(velocity, schedule, "velocity")
  pairs = timestep_pairs(schedule, 5)
  samples = ddim(denoiser, schedule, eps, key, timesteps=pairs)
  np.testing.assert_allclose(euler(velocity, eps, 5).x_0, samples, atol=1e-5)
  path = euler_path(velocity, eps, 5)
  assert path.shape == (6, 20, 3)
  np.testing.assert_array_equal(path[0], eps)
  np.testing.assert_allclose(path[-1], samples, atol=1e-5)
