"""What jgm costs, beside a peer: `python -m benchmarks`, which `make bench` runs.

python -m benchmarks [--rounds=5] [--benches=ddpm_step,ddim] [--workloads=digits,photos]
  [--out=runs/benchmark.json]
"""

import argparse
import json
import pathlib
from typing import Any

from rich.console import Console

from benchmarks import ddim, ddpm_step
from benchmarks.machine import limits

BENCHES = {"ddpm_step": ddpm_step.bench, "ddim": ddim.bench}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--benches", default=",".join(BENCHES))
  parser.add_argument("--workloads", default="digits,photos")
  parser.add_argument(
    "--out", type=pathlib.Path, default=pathlib.Path("runs/benchmark.json")
  )
  arguments = parser.parse_args()
  console = Console()
  machine = limits()
  console.print("this machine:", machine)
  report: dict[str, Any] = {"machine": machine}
  for bench in arguments.benches.split(","):
    report[bench] = {
      name: BENCHES[bench](name, arguments.rounds, console)
      for name in arguments.workloads.split(",")
    }
  arguments.out.parent.mkdir(parents=True, exist_ok=True)
  arguments.out.write_text(json.dumps(report, indent=2))
  console.print(f"written to {arguments.out}")


if __name__ == "__main__":
  main()
