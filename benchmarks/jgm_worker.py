"""jgm's side: experiments/ddpm.py as anyone runs it, without the loop around it."""

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.flops import forward_flops
from benchmarks.training import make_training
from benchmarks.worker import Contestant, serve
from configs.ddpm import get_config
from experiments.ddpm import make
from jgm.core.parallel import make_program
from jgm.core.program import base_key
from jgm.models.unet import UNet
from jgm.xla import configure_jax


def make_contestant(workload: dict[str, Any]) -> Contestant:
  """The workload: task, preset, batch_size, and what the task asks for."""
  configure_jax()
  tasks = {"train": make_trainer, "sample": make_sampler}
  return tasks[workload["task"]](workload)


def make_trainer(workload: dict[str, Any]) -> Contestant:
  """Training steps: num_seeds, steps_per_call."""
  config = get_config(workload["preset"])
  config.data.batch_size = workload["batch_size"]
  experiment = make(config)
  how = {name: workload[name] for name in ("num_seeds", "steps_per_call")}
  run, params = make_training(experiment, **how)
  return Contestant(run, facts_of(config, experiment, params, workload["num_seeds"]))


def make_sampler(workload: dict[str, Any]) -> Contestant:
  """Batches of DDIM samples: num_steps."""
  config = get_config(workload["preset"])
  config.data.batch_size = config.sample.chunk_size = workload["batch_size"]
  experiment = make(config)
  state = make_program(experiment).init(0)
  how = {"sampler": "ddim", "num_steps": workload["num_steps"]}

  def run(num_batches: int) -> None:
    for seed in range(num_batches):
      key = base_key(seed, "sample")
      experiment.sample(state, key, workload["batch_size"], **how).block_until_ready()

  facts = facts_of(config, experiment, state.params)
  return Contestant(run, {**facts, "flops": facts["flops"] * workload["num_steps"]})


def facts_of(
  config: Any, experiment: Any, params: Any, runs: int = 1
) -> dict[str, Any]:
  """Parameters and forward FLOPs of one run; how many runs there are at once."""
  return {
    "parameters": sum(a.size for a in jax.tree.leaves(params)) // runs,
    "flops": unet_flops(config, experiment.data.spec.shape),
    "runs": runs,
    "versions": {"jax": jax.__version__},
  }


def unet_flops(config: Any, shape: tuple[int, int, int]) -> int:
  """Operations in the convolutions and products of one forward pass."""
  model = UNet(dtype=config.dtype, **config.model)
  x, t = jnp.zeros((config.data.batch_size, *shape)), jnp.zeros(config.data.batch_size)
  variables = jax.eval_shape(model.init, jax.random.key(0), x, t)
  return forward_flops(model.apply, variables, x, t)


if __name__ == "__main__":
  serve(make_contestant)
