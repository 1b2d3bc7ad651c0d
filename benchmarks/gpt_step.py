"""Steps per second of experiments/gpt.py, beside transformers' GPT-2 in PyTorch.

A step is the gradient, clipped, AdamW, and the average of the parameters. The sides
have the same parameters, FLOPs and loss of one batch (asserted).
"""

import math
from typing import Any

from rich.console import Console

from benchmarks.contest import (
  CLOCKS,
  Contestants,
  Results,
  measure,
  ran,
  rises,
  table,
)

# name: the vocabulary, the context, the network, the batch, steps in one turn
WORKLOADS = {
  "docs": {
    "vocab_size": 256,
    "context": 128,
    "features": 128,
    "num_layers": 4,
    "num_heads": 4,
    "batch_size": 16,
    "steps": 20,
  }
}
PEER = "PyTorch"
PEERS = ("transformers",)
LOSS_TOLERANCE = 1e-5  # nats


def contestants(workload: dict[str, Any]) -> Contestants:
  """Who takes part."""
  workload = {"task": "train", **workload}
  jgm = lambda n: (
    "jgm",
    "benchmarks.gpt_worker",
    {**workload, "steps_per_call": n},
  )
  many = workload["steps"]
  return {
    "jgm, 1 step per call": jgm(1),
    f"jgm, {many} steps per call": jgm(many),
    PEER: peer(workload, compiled=False),
    f"{PEER}, compiled": peer(workload, compiled=True),
  }


def peer(workload: dict[str, Any], **options: Any) -> tuple[str, str, dict[str, Any]]:
  """A contestant of transformers'."""
  return "transformers", "benchmarks.gpt_peer_worker", {**workload, **options}


def assert_same(results: Results) -> None:
  """Exactly as many parameters, and the same loss of the same weights."""
  parameters = {result["parameters"] for result in ran(results).values()}
  losses = [result["loss"] for result in ran(results).values()]
  assert len(parameters) == 1, f"numbers of parameters: {parameters}"
  close = [math.isclose(loss, losses[0], abs_tol=LOSS_TOLERANCE) for loss in losses]
  assert all(close), f"losses of the same weights: {losses}"


def report(
  title: str,
  results: Results,
  console: Console,
  *,
  passes: float,
  **options: Any,
) -> dict[str, Any]:
  """Prints the tables and the memory; returns what is written down."""
  for clock in CLOCKS:
    console.print(table(title, results, clock, peer=PEER, passes=passes, **options))
  console.print("MiB at the peak of a turn, above those before it:", rises(results))
  return {"results": results, "passes": passes}


def bench(name: str, rounds: int, console: Console) -> dict[str, Any]:
  """Measures one workload, prints it, and returns what is written down."""
  workload = WORKLOADS[name]
  results = measure(contestants(workload), units=workload["steps"], rounds=rounds)
  assert_same(results)
  shape = f"{workload['batch_size']} x {workload['context']} tokens"
  return report(f"GPT step, {name}: {shape}", results, console, unit="steps", passes=3)
