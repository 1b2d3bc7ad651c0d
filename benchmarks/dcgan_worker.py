"""jgm's side: experiments/dcgan.py as anyone runs it, without the loop around it."""

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.flops import forward_flops
from benchmarks.training import make_training
from benchmarks.worker import Contestant, serve
from configs.dcgan import get_config
from experiments.dcgan import make
from jgm.models.dcgan import DCGANDiscriminator, DCGANGenerator
from jgm.xla import configure_jax


def make_contestant(workload: dict[str, Any]) -> Contestant:
  """The workload: shape, batch_size, channels, noise_dimension, steps_per_call.

  A unit of work is one step of the critic and one of the generator.
  """
  configure_jax()
  config = config_of(workload)
  experiment = make(config)
  assert list(experiment.data.spec.shape) == workload["shape"]
  run, params = make_training(experiment, steps_per_call=workload["steps_per_call"])
  facts = {
    "parameters": sum(a.size for a in jax.tree.leaves(params)),
    "flops": flops_of(workload),
    "runs": 1,
    "versions": {"jax": jax.__version__},
  }
  return Contestant(run, facts)


def config_of(workload: dict[str, Any]) -> Any:
  """configs/dcgan.py with the workload's sizes, on photos of 32 x 32 x 3."""
  config = get_config()
  config.data.name = "photos"
  config.data.batch_size = workload["batch_size"]
  config.n_critic = 1
  config.loss = "non_saturating"
  config.noise_dimension = workload["noise_dimension"]
  for network in (config.generator, config.critic):
    network.update(channels=workload["channels"], smallest=4)
  config.ema_decay = 0.999
  return config


def flops_of(workload: dict[str, Any]) -> int:
  """Operations in one forward pass of the generator and of the critic."""
  shape, channels = tuple(workload["shape"]), workload["channels"]
  x = jnp.zeros((workload["batch_size"], *shape))
  z = jnp.zeros((workload["batch_size"], workload["noise_dimension"]))
  total = 0
  for model, inputs in (
    (DCGANGenerator(shape, channels), z),
    (DCGANDiscriminator(channels), x),
  ):
    variables = jax.eval_shape(model.init, jax.random.key(0), inputs)
    total += forward_flops(model.apply, variables, inputs)
  return total


if __name__ == "__main__":
  serve(make_contestant)
