"""Steps per second of experiments/ddpm.py, beside diffusers' U-Net in PyTorch.

python -m benchmarks [--rounds=5] [--workloads=digits,photos] [--out=benchmarks.json]

In each round every contestant takes its turn alone, so that what slows one round slows
all of it, and ratios are taken within a round. Compilation and warm-up come before. The
sides have the same parameters and FLOPs to a few percent (asserted).
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import limits
from benchmarks.peer import peer_python
from benchmarks.worker import Worker
from configs.ddpm import get_config

# name: the preset of configs/ddpm.py, the batch and the image, steps in one turn
WORKLOADS = {
  "digits": {"preset": "", "batch_size": 128, "shape": (8, 8, 1), "steps": 10},
  "photos": {"preset": "photos", "batch_size": 32, "shape": (32, 32, 3), "steps": 3},
}
NUM_SEEDS = 4
TOLERANCE = 0.03  # of parameters and FLOPs between the two sides


def contestants(workload: dict[str, Any]) -> dict[str, tuple[str, str, dict[str, Any]]]:
  """Who takes part: {name: (interpreter, module, workload)}."""
  jgm = lambda **kw: (sys.executable, "benchmarks.jgm_worker", {**workload, **kw})
  model = get_config(workload["preset"]).model.to_dict()
  peer = lambda **kw: (
    str(peer_python()),
    "benchmarks.peer_worker",
    {**workload, "model": model, **kw},
  )
  return {
    "jgm, 1 step per call": jgm(num_seeds=1, steps_per_call=1),
    "jgm, 100 steps per call": jgm(num_seeds=1, steps_per_call=100),
    f"jgm, {NUM_SEEDS} seeds": jgm(num_seeds=NUM_SEEDS, steps_per_call=100),
    "diffusers": peer(channels_last=False),
    "diffusers, channels last": peer(channels_last=True),
  }


def measure(workload: dict[str, Any], rounds: int) -> dict[str, Any]:
  """All contestants' facts and times: {name: {..., "wall": [seconds per step]}}."""
  results: dict[str, Any] = {}
  with contextlib.ExitStack() as stack:
    workers = {}
    for name, arguments in contestants(workload).items():
      workers[name] = Worker(*arguments)
      stack.callback(workers[name].close)
      results[name] = {**workers[name].facts, "wall": [], "processor": []}
    assert_alike(results)
    for _ in range(rounds):
      for name, worker in workers.items():
        turn = worker.run(workload["steps"])
        for clock in ("wall", "processor"):
          results[name][clock].append(turn[clock] / workload["steps"])
        results[name]["peak_mib"] = turn["peak_mib"]
  return results


def assert_alike(results: dict[str, Any]) -> None:
  """All contestants have the same number of parameters and of FLOPs, nearly."""
  for what in ("parameters", "flops"):
    values = {name: result[what] for name, result in results.items()}
    if max(values.values()) > (1 + TOLERANCE) * min(values.values()):
      raise AssertionError(f"the contestants differ in {what}: {values}")


def table(title: str, results: dict[str, Any], clock: str) -> Table:
  """Medians and spreads, and each contestant's time over the best peer's, by round."""
  out = Table(title=title)
  for column in ("", "steps/s", "ms/step", "min-max", "GFLOP/s", "peer/this", "MiB"):
    out.add_column(column, justify="left" if not column else "right")
  peers = [r[clock] for name, r in results.items() if name.startswith("diffusers")]
  peer = min(peers, key=statistics.median)
  for name, result in results.items():
    seeds = NUM_SEEDS if "seeds" in name else 1
    times = [seconds / seeds for seconds in result[clock]]
    median = statistics.median(times)
    ratio = statistics.median(p / t for p, t in zip(peer, times, strict=True))
    out.add_row(
      name + (" (per seed)" if seeds > 1 else ""),
      f"{1 / median:.2f}",
      f"{1e3 * median:.1f}",
      f"{1e3 * min(times):.1f}-{1e3 * max(times):.1f}",
      f"{3 * result['flops'] / median / 1e9:.0f}",
      f"{ratio:.2f}",
      f"{result['peak_mib']:.0f}",
    )
  return out


def seeds_ratio(results: dict[str, Any], clock: str) -> float:
  """The time of the runs in one program over that of as many single runs."""
  together = results[f"jgm, {NUM_SEEDS} seeds"][clock]
  single = results["jgm, 100 steps per call"][clock]
  return statistics.median(
    t / (NUM_SEEDS * s) for t, s in zip(together, single, strict=True)
  )


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--workloads", default=",".join(WORKLOADS))
  parser.add_argument("--out", type=pathlib.Path, default="runs/benchmark.json")
  arguments = parser.parse_args()
  console = Console()
  machine = limits()
  console.print("this machine:", machine)
  report: dict[str, Any] = {"machine": machine, "workloads": {}}
  for name in arguments.workloads.split(","):
    workload = WORKLOADS[name]
    results = measure(workload, arguments.rounds)
    title = f"{name}: {workload['shape']}, batch {workload['batch_size']}"
    console.print(table(f"{title}, wall time", results, "wall"))
    console.print(table(f"{title}, processor time", results, "processor"))
    ratios = {clock: seeds_ratio(results, clock) for clock in ("wall", "processor")}
    console.print(f"{NUM_SEEDS} seeds / {NUM_SEEDS} single runs:", ratios)
    report["workloads"][name] = {"results": results, "seeds_over_single": ratios}
  arguments.out.parent.mkdir(parents=True, exist_ok=True)
  arguments.out.write_text(json.dumps(report, indent=2))
  console.print(f"written to {arguments.out}")
