"""jgm's side: experiments/gpt.py as anyone runs it, without the loop around it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.flops import forward_flops
from benchmarks.gpt_weights import gpt2_state, random_tokens
from benchmarks.training import make_training
from benchmarks.worker import Contestant, serve
from configs.gpt import get_config
from experiments.gpt import make
from jgm.core.program import base_key
from jgm.losses.autoregressive import cross_entropy
from jgm.models.gpt2 import gpt2_params
from jgm.models.transformer import Decoder, Transformer
from jgm.xla import configure_jax


def make_contestant(workload: dict[str, Any]) -> Contestant:
  """The workload: task, vocab_size, the sizes, batch_size, and what the task asks for.

  Tasks are "train" (steps_per_call) and "decode" (num_tokens, from the first token).
  """
  configure_jax()
  config = config_of(workload)
  params = jax.device_put(
    gpt2_params(gpt2_state(workload), num_heads=config.model.num_heads)
  )
  model = Transformer(Decoder(workload["vocab_size"], **config.model))
  tokens = jnp.asarray(random_tokens(workload), jnp.int32)
  logits_of = jax.jit(lambda inputs: model.apply({"params": params}, inputs))
  facts = {
    "parameters": sum(a.size for a in jax.tree.leaves(params)),
    "flops": forward_flops(logits_of, tokens[:, :-1]),
    "loss": float(jnp.mean(cross_entropy(logits_of(tokens[:, :-1]), tokens[:, 1:]))),
    "runs": 1,
    "versions": {"jax": jax.__version__},
  }
  experiment = make(config)
  assert experiment.data.spec.vocab_size == workload["vocab_size"]
  if workload["task"] == "decode":
    return make_decoder(workload, experiment, params, facts)
  run, shapes = make_training(experiment, steps_per_call=workload["steps_per_call"])
  assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, params)
  return Contestant(run, facts)


def make_decoder(
  workload: dict[str, Any], experiment: Any, params: Any, facts: dict[str, Any]
) -> Contestant:
  """Batches of greedy tokens, by `sample`; a unit of work is one."""
  states = jax.eval_shape(experiment.init, base_key(0), {})
  state = states.replace(ema_params=params)  # all that `sample` reads
  batch_size = workload["batch_size"]

  def write() -> np.ndarray:
    key = base_key(0, "sample")
    return np.asarray(experiment.sample(state, key, batch_size, temperature=0.0))

  def run(units: int) -> None:
    for _ in range(units):
      write()

  tokens = write()
  assert tokens.shape == (batch_size, workload["num_tokens"])
  return Contestant(run, {**facts, "tokens": tokens[0].tolist()})


def config_of(workload: dict[str, Any]) -> Any:
  """configs/gpt.py with the workload's sizes."""
  config = get_config()
  config.data.update(batch_size=workload["batch_size"], context=workload["context"])
  config.model.update(
    max_length=workload["context"],
    features=workload["features"],
    num_layers=workload["num_layers"],
    num_heads=workload["num_heads"],
  )
  config.sample.chunk_size = workload["batch_size"]
  return config


if __name__ == "__main__":
  serve(make_contestant)
