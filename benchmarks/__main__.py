"""What jgm costs, beside a peer: `python -m benchmarks`, which `make bench` runs.

python -m benchmarks [--rounds=5]
  [--benches=ddpm_step,ddim,dcgan_step,gpt_step,gpt_decode,first_step,seeds,sinkhorn]
  [--workloads=...] [--out=runs/benchmark.json]
"""

import argparse
import json
import pathlib
from typing import Any

from rich.console import Console

from benchmarks import (
  dcgan_step,
  ddim,
  ddpm_step,
  first_step,
  gpt_decode,
  gpt_step,
  seeds,
)
from benchmarks.machine import limits
from benchmarks.peer import downloads
from benchmarks.picture import show
from benchmarks.sinkhorn import bench as sinkhorn

BENCHES = {
  "ddpm_step": ddpm_step,
  "ddim": ddim,
  "dcgan_step": dcgan_step,
  "gpt_step": gpt_step,
  "gpt_decode": gpt_decode,
  "first_step": first_step,
  "seeds": seeds,
  "sinkhorn": sinkhorn,
}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--benches", default=",".join(BENCHES))
  parser.add_argument("--workloads", default="", help="of the benches; all")
  parser.add_argument(
    "--out", type=pathlib.Path, default=pathlib.Path("runs/benchmark.json")
  )
  arguments = parser.parse_args()
  benches = arguments.benches.split(",")
  wanted = arguments.workloads.split(",") if arguments.workloads else None
  console = Console()
  console.print("\n".join(downloads(environments(benches))))
  report: dict[str, Any] = {"machine": limits()}
  console.print("this machine:", report["machine"])
  arguments.out.parent.mkdir(parents=True, exist_ok=True)
  for bench in benches:
    report[bench] = {}
    for name in BENCHES[bench].WORKLOADS:
      if wanted is None or name in wanted:
        report[bench][name] = BENCHES[bench].bench(name, arguments.rounds, console)
        arguments.out.write_text(json.dumps(report, indent=2))  # each as soon as it is
  show(report, arguments.out, console)


def environments(benches: list[str]) -> list[str]:
  """The peers' environments that benches ask for, each once."""
  return list(dict.fromkeys(peer for name in benches for peer in BENCHES[name].PEERS))


if __name__ == "__main__":
  main()
