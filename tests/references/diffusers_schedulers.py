"""Writes what diffusers' DDPMScheduler and DDIMScheduler make of the same noise.

In an environment of its own, once; the tests read only the arrays:

    pip install torch==2.13.0 numpy==2.4.6 && pip install --no-deps diffusers==0.42.1
    pip install huggingface_hub safetensors regex requests filelock importlib_metadata \
      pillow
    python tests/references/diffusers_schedulers.py

Their tables are float32 and lose digits to 1 - alpha_bar; here they are taken again, in
float64, from diffusers' own betas, so that the arrays are right to all their digits.
"""

import hashlib
import json
import pathlib
import platform

import diffusers
import numpy as np
import torch
from diffusers.schedulers import scheduling_ddpm

OUTPUT = pathlib.Path(__file__).with_suffix(".npz")
SHAPE = (4, 3)  # of a batch of samples

# name -> the scheduler and its options, the number of steps, the options of each step
CASES = {
  "ancestral_small": (
    "DDPM",
    {"num_train_timesteps": 50, "beta_start": 2e-3, "beta_end": 0.4},
    50,
    {},
  ),
  "ancestral_large": (
    "DDPM",
    {
      "num_train_timesteps": 50,
      "beta_schedule": "squaredcos_cap_v2",
      "variance_type": "fixed_large",
      "timestep_spacing": "linspace",
    },
    12,
    {},
  ),
  "ddim_0": (
    "DDIM",
    {
      "num_train_timesteps": 100,
      "beta_start": 1e-3,
      "beta_end": 0.2,
      "prediction_type": "v_prediction",
      "clip_sample": False,
      "timestep_spacing": "trailing",
    },
    10,
    {"eta": 0.0},
  ),
  "ddim_07": (
    "DDIM",
    {"num_train_timesteps": 40, "beta_start": 2.5e-3, "beta_end": 0.5},
    40,
    {"eta": 0.7, "use_clipped_model_output": True},
  ),
  "ddim_1": (
    "DDIM",
    {
      "num_train_timesteps": 60,
      "beta_schedule": "squaredcos_cap_v2",
      "timestep_spacing": "trailing",
    },
    12,
    {"eta": 1.0, "use_clipped_model_output": True},
  ),
}


def network(x_t: torch.Tensor, t: int) -> torch.Tensor:
  """Anything that is not linear; the tests have the same."""
  return torch.sin(2 * x_t) + 0.01 * t


def run(kind, options, num_steps, step_options, x, noise):
  """The times visited, and the samples before the first step and after each."""
  scheduler = getattr(diffusers, f"{kind}Scheduler")(**options)
  scheduler.alphas_cumprod = torch.cumprod(1 - scheduler.betas.double(), 0)
  scheduler.one = scheduler.final_alpha_cumprod = torch.ones((), dtype=torch.float64)
  scheduler.set_timesteps(num_steps)
  chain = [x]
  for i, t in enumerate(scheduler.timesteps):
    if kind == "DDIM":
      if step_options["eta"] > 0:
        step_options = {**step_options, "variance_noise": noise[i]}
    else:
      scheduling_ddpm.randn_tensor = lambda *_, i=i, **__: noise[i]
    output = network(chain[-1], int(t))
    chain.append(scheduler.step(output, t, chain[-1], **step_options).prev_sample)
  return scheduler.timesteps.numpy(), torch.stack(chain).numpy()


def main() -> None:
  """Writes the arrays, and beside them the versions and the hash."""
  random, arrays = np.random.default_rng(0), {}
  for name, (kind, options, num_steps, step_options) in CASES.items():
    # numbers of float32, so that the tests start from exactly the same
    draws = random.standard_normal((num_steps + 1, *SHAPE)).astype(np.float32)
    x, noise = torch.from_numpy(draws[0]).double(), torch.from_numpy(draws[1:]).double()
    timesteps, chain = run(kind, options, num_steps, step_options, x, noise)
    arrays[f"{name}/timesteps"] = timesteps.astype(np.int32)
    arrays[f"{name}/noise"] = draws[1:]
    arrays[f"{name}/chain"] = chain
  np.savez(OUTPUT, **arrays)
  about = {
    "diffusers": diffusers.__version__,
    "torch": torch.__version__,
    "numpy": np.__version__,
    "python": platform.python_version(),
    "sha256": hashlib.sha256(OUTPUT.read_bytes()).hexdigest(),
  }
  OUTPUT.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
  main()
