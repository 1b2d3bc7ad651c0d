"""An experiment's default, of several seeds: in one program, or one after another."""

import importlib
from typing import Any

import jax

from benchmarks.training import make_training
from benchmarks.worker import Contestant, serve
from jgm.cli.config import load_config
from jgm.core.jit_program import takes_turns
from jgm.xla import configure_jax


def make_contestant(workload: dict[str, Any]) -> Contestant:
  """The workload: experiment, steps, num_seeds (of the program), seeds (its runs).

  A unit of work is one step of each of the runs.
  """
  configure_jax()
  name, num_seeds = workload["experiment"], workload["num_seeds"]
  module = importlib.import_module(f"experiments.{name}")
  run, params = make_training(
    module.make(load_config(f"configs/{name}.py")),
    steps_per_call=workload["steps"],
    num_seeds=num_seeds,
    seeds=workload["seeds"],
  )
  parameters = sum(leaf.size for leaf in jax.tree.leaves(params)) // num_seeds
  facts = {
    "parameters": parameters,
    "how": how(num_seeds, parameters),
    "runs": num_seeds * len(workload["seeds"]),
    "versions": {"jax": jax.__version__},
  }
  return Contestant(run, facts)


def how(num_seeds: int, parameters: int) -> str:
  """How a program takes a step of its seeds, as `jgm.core.jit_program` decides it."""
  if num_seeds == 1:
    return "run by run"
  return "in turn" if takes_turns(parameters, jax.devices()) else "at once"


if __name__ == "__main__":
  serve(make_contestant)
