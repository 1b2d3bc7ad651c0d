"""The walk from one noise to another: its ends, its way, and what is drawn where."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.eval.latent_walk import latent_walk, walk
from jgm.eval.pictures import trajectory_strip


@pytest.fixture
def z(key):
  return jax.random.normal(key, (6, 50))


@pytest.mark.parametrize("spherical", [True, False])
def test_row_i_goes_from_its_noise_to_that_of_the_other_half(z, spherical):
  steps = walk(z, spherical=spherical, num_steps=5)
  assert len(steps) == 5
  np.testing.assert_allclose(steps[0], z[:3], atol=1e-6)
  np.testing.assert_allclose(steps[-1], z[3:], atol=1e-6)


def test_a_straight_walk_goes_by_equal_steps(z):
  moved = np.diff(np.stack(walk(z, spherical=False, num_steps=5)), axis=0)
  np.testing.assert_allclose(moved, np.tile((z[3:] - z[:3]) / 4, (4, 1, 1)), atol=1e-5)


def test_a_walk_along_an_arc_keeps_norms_and_turns_by_equal_angles():
  corners = jnp.eye(2)
  steps = np.stack(walk(corners, spherical=True, num_steps=4))[:, 0]
  np.testing.assert_allclose(np.linalg.norm(steps, axis=1), 1, rtol=1e-6)
  angles = np.degrees(np.arctan2(steps[:, 1], steps[:, 0]))
  np.testing.assert_allclose(angles, [0, 30, 60, 90], atol=1e-4)


def test_normal_noise_stays_normal_noise(key):
  """Halfway its variance is 1 along an arc, and 1/2 along a straight line."""
  z = jax.random.normal(key, (2000, 10))
  error = 4 * np.sqrt(2 / 10_000)
  for spherical, variance in ((True, 1.0), (False, 0.5)):
    middle = walk(z, spherical=spherical, num_steps=3)[1]
    assert abs(float(jnp.var(middle)) - variance) < error * variance


def test_each_walk_is_a_row_of_what_the_generator_draws(z):
  shapes = []

  def draw(z):
    shapes.append(z.shape)
    return jnp.tanh(z[:, :16].reshape(-1, 4, 4, 1))

  picture = latent_walk(draw, z, low=-1.0, high=0.5, spherical=True, num_steps=4)
  assert shapes == [(3, 50)] * 4
  frames = [draw(each) for each in walk(z, spherical=True, num_steps=4)]
  expected = trajectory_strip(np.stack(frames), low=-1.0, high=0.5)
  np.testing.assert_array_equal(picture, expected)
  cell = 96
  assert picture.shape == (3 * (cell + 4) - 4, 4 * (cell + 4) - 4, 3)


def test_what_is_no_walk_is_named(z):
  for noise in (z[:5], z[:0], z[0]):
    with pytest.raises(ValueError, match=r"\[2 N, D\]"):
      walk(noise, spherical=True, num_steps=4)
  with pytest.raises(ValueError, match="two steps or more: 1"):
    walk(z, spherical=True, num_steps=1)
