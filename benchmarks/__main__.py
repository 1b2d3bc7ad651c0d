"""What jgm costs, beside a peer: `python -m benchmarks`, which `make bench` runs.

python -m benchmarks [--rounds=5]
  [--benches=ddpm_step,ddim,dcgan_step,gpt_step,gpt_decode,sinkhorn]
  [--workloads=...] [--out=runs/benchmark.json]
"""

import argparse
import json
import pathlib
from typing import Any

from rich.console import Console

from benchmarks import dcgan_step, ddim, ddpm_step, gpt_decode, gpt_step
from benchmarks.machine import limits
from benchmarks.sinkhorn import bench as sinkhorn

BENCHES = {
  "ddpm_step": ddpm_step,
  "ddim": ddim,
  "dcgan_step": dcgan_step,
  "gpt_step": gpt_step,
  "gpt_decode": gpt_decode,
  "sinkhorn": sinkhorn,
}
WORKLOADS = {name: tuple(module.WORKLOADS) for name, module in BENCHES.items()}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--benches", default=",".join(BENCHES))
  parser.add_argument("--workloads", default="", help="of the benches; all")
  parser.add_argument(
    "--out", type=pathlib.Path, default=pathlib.Path("runs/benchmark.json")
  )
  arguments = parser.parse_args()
  console = Console()
  machine = limits()
  console.print("this machine:", machine)
  report: dict[str, Any] = {"machine": machine}
  for bench in arguments.benches.split(","):
    wanted = arguments.workloads.split(",") if arguments.workloads else WORKLOADS[bench]
    report[bench] = {
      name: BENCHES[bench].bench(name, arguments.rounds, console)
      for name in WORKLOADS[bench]
      if name in wanted
    }
  arguments.out.parent.mkdir(parents=True, exist_ok=True)
  arguments.out.write_text(json.dumps(report, indent=2))
  console.print(f"written to {arguments.out}")


if __name__ == "__main__":
  main()
