"""What holds of every sampler: seeds are lanes, frames, dtypes, and the right modes."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise
from jgm.data.gaussian_mixture import GaussianMixture, gaussian_ring
from jgm.samplers import (
  ancestral,
  annealed_langevin,
  ddim,
  dpm_solver,
  euler_maruyama,
  heun,
  make_sampling,
  predictor_corrector,
  probability_flow,
  timestep_pairs,
)
from jgm.samplers import sampling as sampling_module

SCHEDULE = noise.vp_schedule(first=0.02)
PAIRS = timestep_pairs(SCHEDULE, 4, spacing="log_snr")
on_pairs = functools.partial(functools.partial, timesteps=PAIRS)
SAMPLERS = {
  "ancestral": on_pairs(ancestral),
  "ddim": on_pairs(ddim, eta=0.5),
  "euler_maruyama": on_pairs(euler_maruyama),
  "predictor_corrector": on_pairs(predictor_corrector),
  "annealed_langevin": on_pairs(annealed_langevin, steps_per_level=2, step_size=1e-3),
  "heun": on_pairs(heun),
  "dpm_solver": on_pairs(dpm_solver),
  "probability_flow": probability_flow,
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_seeds_are_lanes_and_frames_change_nothing(name, gaussian, key):
  """One trace; a lane is the run alone; the first and last frame are the ends."""
  denoiser = gaussian.denoiser(SCHEDULE)
  run = lambda x_T, key, **options: SAMPLERS[name](
    denoiser, SCHEDULE, x_T, key, **options
  )
  chex.clear_trace_counter()

  @jax.jit
  @chex.assert_max_traces(n=1)
  def all_of(x_T, keys):
    with_frames = lambda x_T, key: run(x_T, key, num_frames=2)
    return jax.vmap(with_frames)(x_T, keys), run(x_T[1], jax.random.clone(keys[1]))

  key_x, key_walk = jax.random.split(key)
  x_T, keys = jax.random.normal(key_x, (2, 3, 2)), jax.random.split(key_walk)
  for _ in range(2):
    (together, frames), alone = all_of(x_T, jax.random.clone(keys))
  chex.assert_type([together, frames.x_t, frames.x_0_hat], jnp.float32)
  chex.assert_shape([frames.x_t, frames.x_0_hat], (2, 2, 3, 2))
  np.testing.assert_allclose(together[1], alone, atol=3e-5)
  np.testing.assert_array_equal(frames.x_t[:, 0], x_T)
  np.testing.assert_allclose(frames.t, [[1.0, 0.02]] * 2, rtol=1e-6)
  np.testing.assert_allclose(frames.x_0_hat[:, -1], together, atol=1e-5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_in_float64_it_stays_in_float64(name, gaussian, key):
  with jax.enable_x64(True):
    sample = lambda x_T, key: SAMPLERS[name](
      gaussian.denoiser(SCHEDULE), SCHEDULE, x_T, key, num_frames=1
    )
    x_T = jax.ShapeDtypeStruct((3, 2), jnp.float64)
    samples, frames = jax.eval_shape(sample, x_T, key)
    chex.assert_type([samples, *frames], jnp.float64)


WEIGHTS = np.array([0.25, 0.05, 0.15, 0.1, 0.2, 0.05, 0.1, 0.1])
WALKS = {
  "ancestral": ("vp", ancestral, 100, {}),
  "euler_maruyama": ("ve", euler_maruyama, 150, {}),
  "predictor_corrector": ("vp", predictor_corrector, 60, {}),
  "ddim": ("rectified", ddim, 60, {}),
  "heun": ("rectified", heun, 30, {}),
  "dpm_solver": ("vp", dpm_solver, 30, {}),
}


@pytest.mark.parametrize("name", WALKS)
def test_modes_are_as_frequent_as_they_should_be(name, mixture_denoiser, key):
  """Of eight on a ring, from the prior: chi-square of 7 degrees, below 1 in 10,000."""
  path, sampler, num_steps, options = WALKS[name]
  schedule = {
    "vp": noise.vp_schedule(first=0.01),
    "ve": noise.ve_schedule(0.05, 50.0),
    "rectified": noise.rectified_schedule(first=0.02),
  }[path]
  ring = gaussian_ring(8, radius=1.0, scale=0.05)
  ring = GaussianMixture(ring.means, ring.scale, WEIGHTS.astype(np.float32))
  pairs = timestep_pairs(schedule, num_steps, spacing="log_snr")

  @jax.jit
  def sample(key):
    key_x, key_walk = jax.random.split(key)
    x_T = noise.prior_scale(schedule) * jax.random.normal(key_x, (4000, 2))
    denoiser = mixture_denoiser(ring, schedule)
    return sampler(denoiser, schedule, x_T, key_walk, timesteps=pairs, **options)

  samples = np.asarray(sample(key))
  apart = np.linalg.norm(samples[:, None] - ring.means, axis=2)
  assert np.mean(apart.min(1) < 0.25) > 0.99
  counts, wanted = np.bincount(apart.argmin(1), minlength=8), 4000 * WEIGHTS
  chi_square = np.sum((counts - wanted) ** 2 / wanted)
  print(f"{name}: chi-square {chi_square:.1f}")
  assert chi_square < 29.9


def sampling(options):
  denoiser = lambda params, label: lambda x_t, t: params * x_t
  how = {"sampler": "ddim", "num_steps": 4, "chunk_size": 2}
  return make_sampling(denoiser, SCHEDULE, (2,), options, **how)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"dimm": {}}, "unknown sampler 'dimm'. Did you mean 'ddim'"),
    ({"ddim": {"etta": 1.0}}, "'ddim' has no option 'etta'.*Did you mean 'eta'"),
    ({"heun": {"chrn": 1.0}}, "'heun' has no option 'chrn'"),  # not the default one
    ({"probability_flow": {"rtoll": 1.0}}, "Did you mean 'rtol'"),
    ({"probability_flow": {"options": {}}}, "has no option 'options'"),
    ({"ancestral": {"timesteps": 3}}, "has no option 'timesteps'"),  # num_steps says
  ],
)
def test_an_option_that_no_sampler_has_is_refused(options, message):
  with pytest.raises(ValueError, match=message):
    sampling(options)


def test_each_sampler_takes_its_options():
  options = {
    "ancestral": {"variance": "large"},
    "annealed_langevin": {"steps_per_level": 2, "step_size": None},
    "ddim": {"eta": 0.5},
    "predictor_corrector": {"num_corrections": 1, "snr": 0.1},
    "probability_flow": {"rtol": 1e-3, "atol": 1e-3},
  }
  assert set(options) <= set(sampling_module.SAMPLERS)
  sampling(options)
