"""Annealed Langevin dynamics, against its own exact recursion on a Gaussian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise
from jgm.samplers.annealed_langevin import annealed_langevin, matched_step_size
from jgm.samplers.timesteps import timestep_pairs


def langevin_step(step_size, end):
  """x + a / 2 score + sqrt(a) z, with the score of N(alpha x_0_hat, sigma^2)."""

  def step(path, t, s):
    if s == noise.CLEAN:
      return 0.0, 1.0, 0.0
    a = step_size * path.sigma(t) ** 2 / path.sigma(end) ** 2
    pull = 0.5 * a / path.sigma(t) ** 2
    return 1 - pull, pull * path.alpha(t), a

  return step


@pytest.mark.parametrize("denoise", [True, False])
def test_moments_on_every_path(path, denoise, check_recursion):
  """Four levels of five steps each, and the denoising one."""
  levels = timestep_pairs(path.schedule, 4)
  end = levels[-1, 0]
  step_size = 0.3 * float(path.sigma(end)) ** 2
  visits = [(t, t) for t in levels[:, 0] for _ in range(5)]
  visits += [(end, noise.CLEAN)] if denoise else []

  def sampler(*args, timesteps):
    return annealed_langevin(
      *args, timesteps=levels, steps_per_level=5, step_size=step_size, denoise=denoise
    )

  check_recursion(sampler, path, visits, langevin_step(step_size, end))


def test_every_level_is_visited_as_often_as_is_said(key):
  schedule = noise.geometric_schedule(3)
  sample = jax.jit(
    lambda x_T, key: annealed_langevin(
      lambda x_t, t: x_t, schedule, x_T, key, steps_per_level=2, num_frames=7
    )
  )
  samples, frames = sample(jnp.ones((1, 2)), key)
  np.testing.assert_array_equal(frames.t, [2, 2, 1, 1, 0, 0, 0])
  np.testing.assert_array_equal(samples, frames.x_0_hat[-1])


def test_bad_input_is_named(key):
  schedule = noise.geometric_schedule(3, sigma_min=0.1)
  sample = lambda **options: annealed_langevin(
    lambda x_t, t: x_t, schedule, jnp.zeros((2, 2)), key, **options
  )
  with pytest.raises(ValueError, match="steps_per_level must be at least 1; got 0"):
    sample(steps_per_level=0)
  for step_size in (0.0, -1.0, 0.05, float("nan")):
    with pytest.raises(ValueError, match=r"below 4 sigma\^2 = 0.04 of the last level"):
      sample(step_size=step_size)


def test_the_step_size_is_the_papers():
  """Song & Ermon 2020 report 6.2e-6 for CIFAR-10; ours is twice that."""
  ladder = np.geomspace(50, 0.01, 232)
  assert 0.5 * matched_step_size(ladder, 5) == pytest.approx(6.2e-6, rel=0.01)


@pytest.mark.parametrize("num_levels", [2, 7])
@pytest.mark.parametrize("num_steps", [1, 5])
def test_no_other_step_size_keeps_the_variance_better(num_levels, num_steps):
  """The variance of the walk itself, about data that are one point."""
  sigma = np.geomspace(8.0, 0.1, num_levels)

  def variance(step_size):
    value = sigma[-2] ** 2
    for _ in range(num_steps):
      value = (1 - 0.5 * step_size / sigma[-1] ** 2) ** 2 * value + step_size
    return value

  chosen = matched_step_size(sigma, num_steps)
  others = np.linspace(0.01, 1.99, 500) * sigma[-1] ** 2
  assert variance(chosen) <= min(map(variance, others)) * (1 + 1e-6)


def test_a_step_size_needs_a_ladder():
  with pytest.raises(ValueError, match="two levels or more"):
    matched_step_size([0.1], 5)
