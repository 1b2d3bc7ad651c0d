"""Weak scaling by the compiler's numbers: what a device sends as devices are added.

python -m benchmarks.weak_scaling [--experiment=gpt] [--devices=1,2,4,8] [--cut=fsdp]
    [--topology=cpu] [--out=FILE] [--config.x.y=...]

The batch grows with the devices, and the step is compiled for them: simulated ones of
this machine, or `--topology=v5e` (with the extra [tpu]). Nothing runs. Under data
parallelism each device is to send the same whatever their number: the gradients, once
there and once back. Prints a table, and JSON into FILE.
"""

import argparse
import importlib
import json
import os
import pathlib
from typing import Any

from rich.console import Console
from rich.table import Table

CUTS = {
  "data": {},
  "fsdp": {"fsdp": True},
  "tensor": {"model_devices": 2},
}
# Slices of a v5e of so many chips.
SLICES = {1: "v5e:1x1", 2: "v5e:1x2", 4: "v5e:2x2", 8: "v5e:2x4", 16: "v5e:4x4"}


def measure(
  name: str, num_devices: int, cut: str, topology: str, overrides: list[str]
) -> dict[str, Any]:
  """What one device does in a step of an experiment's default, by cut."""
  from jgm.cli.config import load_config
  from jgm.core.parallel import make_program
  from jgm.data.shapes import shapes_of
  from jgm.plan import compile_call, find_topology
  from jgm.plan import measure as count
  from jgm.plan.roofline import sent_bytes

  config = load_config(f"configs/{name}.py", tuple(overrides))
  config.data.batch_size *= num_devices
  experiment = importlib.import_module(f"experiments.{name}").make(config)
  where = f"cpu:{num_devices}" if topology == "cpu" else SLICES[num_devices]
  program = make_program(
    experiment, **CUTS[cut], devices=find_topology(where).devices[:num_devices]
  )
  lowered = program.lower(shapes_of(experiment.data, 1))
  found = count(compile_call(lowered), steps_per_call=1)
  collectives: dict[str, float] = {}
  for kind, num_bytes in found.work.collectives.items():
    collectives[kind.kind] = collectives.get(kind.kind, 0) + num_bytes
  return {
    "experiment": name,
    "cut": cut,
    "devices": num_devices,
    "batch": config.data.batch_size,
    "flops": found.work.flops,
    "collectives": collectives,
    "sent": sent_bytes(found.work.collectives),
    "arguments": found.memory.arguments,
    "temporaries": found.memory.temporaries,
  }


def print_table(rows: list[dict[str, Any]], console: Console) -> None:
  """One line for each number of devices: KiB of one device and step."""
  kinds = sorted({kind for row in rows for kind in row["collectives"]})
  table = Table(title=f"{rows[0]['experiment']}, {rows[0]['cut']}: KiB of a device")
  for column in ("devices", "batch", "flops", *kinds, "sent", "state", "else"):
    table.add_column(column, justify="right")
  for row in rows:
    sizes = [row["collectives"].get(kind, 0) for kind in kinds]
    sizes += [row["sent"], row["arguments"], row["temporaries"]]
    table.add_row(
      str(row["devices"]),
      str(row["batch"]),
      f"{row['flops']:.3g}",
      *(f"{size / 2**10:,.0f}" for size in sizes),
    )
  console.print(table)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--experiment", default="gpt,ddpm")
  parser.add_argument("--devices", default="1,2,4,8")
  parser.add_argument("--cut", default="data,fsdp")
  parser.add_argument("--topology", default="cpu", choices=("cpu", "v5e"))
  parser.add_argument("--out", type=pathlib.Path)
  arguments, rest = parser.parse_known_args()
  overrides = [each.removeprefix("--config.") for each in rest]
  devices = [int(number) for number in arguments.devices.split(",")]
  simulated = f"--xla_force_host_platform_device_count={max(devices)}"
  os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {simulated}".strip()
  if arguments.topology != "cpu":
    from jgm.plan.topology import prepare

    prepare(SLICES[max(devices)])
  console, rows = Console(), []
  for name in arguments.experiment.split(","):
    for cut in arguments.cut.split(","):
      more = [number for number in devices if cut == "data" or number > 1]
      found = [measure(name, n, cut, arguments.topology, overrides) for n in more]
      print_table(found, console)
      rows += found
  if arguments.out:
    arguments.out.write_text(json.dumps(rows, indent=2) + "\n")
    console.print(f"written: {arguments.out}")


if __name__ == "__main__":
  main()
