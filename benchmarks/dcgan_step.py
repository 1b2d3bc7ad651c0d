"""Steps per second of experiments/dcgan.py, beside the same networks in PyTorch.

A step is one of the critic and one of the generator, each with its own noise; the
critic sees real and fake images in batches of their own, as batch statistics ask.
The sides have the same parameters and FLOPs to a few percent (asserted).
"""

from typing import Any

from rich.console import Console

from benchmarks.contest import (
  CLOCKS,
  Contestants,
  measure,
  pytorch_forms,
  rises,
  table,
)

# name: the image, the batch, the networks, steps in one turn
WORKLOADS = {
  "photos": {
    "shape": (32, 32, 3),
    "batch_size": 64,
    "channels": 64,
    "noise_dimension": 100,
    "steps": 20,
  }
}
PEERS = ("peer",)
# Forward passes of both networks, as many FLOPs as a step has: the generator forward
# twice and backward once (2), the critic forward three times, backward in its weights
# twice and in its images three times.
PASSES = 6


def contestants(workload: dict[str, Any]) -> Contestants:
  """Who takes part."""
  jgm = lambda n: (
    "jgm",
    "benchmarks.dcgan_worker",
    {**workload, "steps_per_call": n},
  )
  many = workload["steps"]
  return {
    "jgm, 1 step per call": jgm(1),
    f"jgm, {many} steps per call": jgm(many),
    **pytorch_forms("PyTorch", "benchmarks.dcgan_peer_worker", workload),
  }


def bench(name: str, rounds: int, console: Console) -> dict[str, Any]:
  """Measures one workload, prints it, and returns what is written down."""
  workload = WORKLOADS[name]
  results = measure(contestants(workload), units=workload["steps"], rounds=rounds)
  title = f"DCGAN step, {name}: {workload['shape']}, batch {workload['batch_size']}"
  for clock in CLOCKS:
    console.print(
      table(title, results, clock, unit="steps", passes=PASSES, peer="PyTorch")
    )
  console.print("MiB at the peak of a turn, above those before it:", rises(results))
  return {"results": results, "passes": PASSES}
