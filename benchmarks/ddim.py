"""Images per second of 50 DDIM steps as one compiled scan, beside diffusers' loop.

The same networks as in `ddpm_step.py`, not trained: what is measured is the speed.
"""

from typing import Any

from rich.console import Console

from benchmarks.contest import CLOCKS, measure, pytorch_forms, table
from configs.ddpm import get_config

NUM_STEPS = 50
PEERS = ("peer",)
# name: the preset of configs/ddpm.py, the images of a batch, batches in one turn
WORKLOADS = {
  "digits": {"preset": "", "batch_size": 128, "shape": (8, 8, 1), "batches": 1},
  "photos": {"preset": "photos", "batch_size": 16, "shape": (32, 32, 3), "batches": 1},
}


def bench(name: str, rounds: int, console: Console) -> dict[str, Any]:
  """Measures one workload, prints it, and returns what is written down."""
  workload = {"task": "sample", "num_steps": NUM_STEPS, **WORKLOADS[name]}
  model = get_config(workload["preset"]).model.to_dict()
  peer = {**workload, "model": model}
  contestants = {
    "jgm": ("jgm", "benchmarks.jgm_worker", workload),
    **pytorch_forms("diffusers", "benchmarks.peer_worker", peer),
  }
  results = measure(contestants, units=workload["batches"], rounds=rounds)
  size = workload["batch_size"]
  title = f"{NUM_STEPS} DDIM steps, {name}: {workload['shape']}, batch {size}"
  for clock in CLOCKS:
    console.print(table(title, results, clock, unit="images", per_unit=size))
  return {"results": results, "passes": 1}
