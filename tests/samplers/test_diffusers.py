"""Whole chains equal those of diffusers' schedulers, on the same noise.

The arrays are remade by tests/references/diffusers_schedulers.py.
"""

import functools
import hashlib
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.noise import cosine_schedule, linear_beta_schedule, make_denoiser
from jgm.samplers.ancestral import ancestral
from jgm.samplers.ddim import ddim
from jgm.samplers.timesteps import timestep_pairs

REFERENCES = pathlib.Path(__file__).parents[1] / "references"
CLIP = (-1.0, 1.0)
# name -> the schedule, the prediction, the clip, the spacing, the sampler
CASES = {
  "ancestral_small": (linear_beta_schedule(50), "eps", CLIP, "linspace", ancestral),
  "ancestral_large": (
    cosine_schedule(50),
    "eps",
    CLIP,
    "linspace",
    functools.partial(ancestral, variance="large"),
  ),
  "ddim_0": (linear_beta_schedule(100), "v", None, "trailing", ddim),
  "ddim_07": (
    linear_beta_schedule(40),
    "eps",
    CLIP,
    "linspace",
    functools.partial(ddim, eta=0.7),
  ),
  "ddim_1": (
    cosine_schedule(60),
    "eps",
    CLIP,
    "trailing",
    functools.partial(ddim, eta=1.0),
  ),
}


@pytest.fixture(scope="module")
def arrays():
  path = REFERENCES / "diffusers_schedulers.npz"
  about = json.loads(path.with_suffix(".json").read_text())
  assert hashlib.sha256(path.read_bytes()).hexdigest() == about["sha256"]
  with np.load(path) as file:
    return dict(file)


@pytest.mark.parametrize("name", CASES)
def test_the_chain_is_that_of_diffusers(name, arrays):
  schedule, prediction, clip, spacing, sampler = CASES[name]
  noise, chain = jnp.asarray(arrays[f"{name}/noise"]), arrays[f"{name}/chain"]
  pairs = timestep_pairs(schedule, len(noise), spacing=spacing)
  np.testing.assert_array_equal(pairs[:, 0], arrays[f"{name}/timesteps"])

  network = lambda x_t, t: jnp.sin(2 * x_t) + 0.01 * t[:, None]
  denoiser = make_denoiser(network, schedule, prediction, clip=clip)
  sample = jax.jit(
    lambda x_T: sampler(
      denoiser, schedule, x_T, None, timesteps=pairs, noise=noise, num_frames=len(pairs)
    )
  )
  samples, frames = sample(jnp.asarray(chain[0], jnp.float32))
  np.testing.assert_allclose(frames.x_t, chain[:-1], atol=2e-5)
  np.testing.assert_allclose(samples, chain[-1], atol=2e-5)
