"""Steps per second of experiments/ddpm.py, beside diffusers' U-Net in PyTorch.

The sides have the same parameters and FLOPs to a few percent (asserted).
"""

import statistics
from typing import Any

from rich.console import Console

from benchmarks.contest import (
  CLOCKS,
  Contestants,
  Results,
  measure,
  pytorch_forms,
  table,
)
from configs.ddpm import get_config

# name: the preset of configs/ddpm.py, the batch and the image, steps in one turn: as
# many as one call of jgm takes where it takes many
WORKLOADS = {
  "digits": {"preset": "", "batch_size": 128, "shape": (8, 8, 1), "steps": 100},
  "photos": {"preset": "photos", "batch_size": 32, "shape": (32, 32, 3), "steps": 10},
}
NUM_SEEDS = 4
PEERS = ("peer",)
PASSES = 3  # forward passes' worth of FLOPs in a step


def contestants(workload: dict[str, Any]) -> Contestants:
  """Who takes part."""
  workload = {"task": "train", **workload}
  jgm = lambda **kw: ("jgm", "benchmarks.jgm_worker", {**workload, **kw})
  peer = {**workload, "model": get_config(workload["preset"]).model.to_dict()}
  many = workload["steps"]
  return {
    "jgm, 1 step per call": jgm(num_seeds=1, steps_per_call=1),
    f"jgm, {many} steps per call": jgm(num_seeds=1, steps_per_call=many),
    f"jgm, {NUM_SEEDS} seeds": jgm(num_seeds=NUM_SEEDS, steps_per_call=many),
    **pytorch_forms("diffusers", "benchmarks.peer_worker", peer),
  }


def seeds_ratio(results: Results, clock: str, steps: int) -> float:
  """The time of the runs in one program over that of as many single runs."""
  together = results[f"jgm, {NUM_SEEDS} seeds"][clock]
  single = results[f"jgm, {steps} steps per call"][clock]
  return statistics.median(
    t / (NUM_SEEDS * s) for t, s in zip(together, single, strict=True)
  )


def bench(name: str, rounds: int, console: Console) -> dict[str, Any]:
  """Measures one workload, prints it, and returns what is written down."""
  workload = WORKLOADS[name]
  results = measure(contestants(workload), units=workload["steps"], rounds=rounds)
  title = f"training step, {name}: {workload['shape']}, batch {workload['batch_size']}"
  for clock in CLOCKS:
    console.print(table(title, results, clock, unit="steps", passes=PASSES))
  ratios = {clock: seeds_ratio(results, clock, workload["steps"]) for clock in CLOCKS}
  console.print(f"{NUM_SEEDS} seeds / {NUM_SEEDS} single runs:", ratios)
  return {"results": results, "passes": PASSES, "seeds_over_single": ratios}
