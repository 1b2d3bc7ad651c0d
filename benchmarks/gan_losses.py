"""Every loss of a GAN with equal networks and an equal budget, as one table.

python -m benchmarks.gan_losses --out=runs/gan_losses
python -m benchmarks.gan_losses --out=runs/gan_losses --preset=digits --num_seeds=1

The seeds of a loss are one program (`num_seeds`). Rows are written as they are measured
and read again, so that an interrupted run goes on where it was.
"""

import argparse
import json
import pathlib
import statistics
import time
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from configs.gan import get_config
from experiments.gan import losses, make
from jgm.core.loop import train
from jgm.core.parallel import make_program
from jgm.core.program import base_key
from jgm.xla import configure_jax

USUAL = ("minimax", "non_saturating", "least_squares", "hinge", "wasserstein")
SHOWN = {
  "grid": ("modes_covered", "good_share", "mode_kl_nats", "frechet_distance"),
  "ring": ("modes_covered", "good_share", "mode_kl_nats", "frechet_distance"),
  "digits": ("frechet_distance", "confident_share"),
}
ALWAYS = ("precision", "recall")


def main() -> None:
  """Trains what is not there yet, and prints the table."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--out", required=True, help="the folder of the rows")
  parser.add_argument("--preset", default="grid", choices=SHOWN)
  parser.add_argument("--losses", default="", help="separated by commas; all of them")
  parser.add_argument("--num_seeds", type=int, default=3)
  parser.add_argument("--r1", type=float, help="in the place of the preset's")
  options = parser.parse_args()
  configure_jax()
  config = get_config(options.preset)
  if options.r1 is not None:
    config.r1 = options.r1
  usual = options.preset == "digits"
  names = options.losses.split(",") if options.losses else losses(config)
  names = [name for name in names if not usual or options.losses or name in USUAL]
  folder = pathlib.Path(options.out)
  folder.mkdir(parents=True, exist_ok=True)
  rows = {}
  for name in names:
    file = folder / f"{options.preset}-r1_{config.r1:g}-{name}-{options.num_seeds}.json"
    config.loss = name
    made_by = json.loads(config.to_json_best_effort())
    kept = json.loads(file.read_text()) if file.exists() else {}
    if kept.get("config") != made_by:
      kept = {"config": made_by, "found": measure(config, options.num_seeds)}
      file.write_text(json.dumps(kept))
    rows[name] = kept["found"]
    print(name, {key: rows[name][key]["value"] for key in SHOWN[options.preset]})
  title = f"{options.preset}: {options.num_seeds} seeds, {config.total_steps} steps, "
  Console(width=140).print(table(title + f"R1 {config.r1:g}", rows, options.preset))


def measure(config: Any, num_seeds: int) -> dict[str, Any]:
  """A run: every number's values over the seeds, its floor, and the seconds."""
  experiment = make(config)
  program = make_program(experiment, num_seeds=num_seeds, steps_per_call=100)
  state, start = program.init(config.seed), time.process_time()
  for chunk in train(experiment, program, state, total_steps=config.total_steps):
    state = chunk.state
  seconds = time.process_time() - start
  whole = program.whole(state)
  key = base_key(config.eval.seed, "evaluate")  # as the command has it, of every seed
  found: dict[str, Any] = {"CPU_s": {"value": [seconds / num_seeds], "floor": None}}
  for seed in range(num_seeds):
    one = whole if num_seeds == 1 else jax.tree.map(lambda x, i=seed: x[i], whole)
    scalars = experiment.evaluate(one, key).scalars
    for name, scalar in scalars.items():
      row = found.setdefault(name, {"value": [], "floor": scalar.floor})
      row["value"].append(scalar.value)
  return found


def table(title: str, rows: dict[str, dict[str, Any]], preset: str) -> Table:
  """A row for each loss: mean and standard deviation over the seeds."""
  columns = (*SHOWN[preset], *ALWAYS, "CPU_s")
  out = Table(title=title)
  out.add_column("loss")
  for name in columns:
    out.add_column(name.replace("_", " "), justify="right")
  for loss, row in rows.items():
    out.add_row(loss, *(spread(row[name]["value"]) for name in columns))
  first = next(iter(rows.values()))
  floors = [first[name]["floor"] for name in columns]
  out.add_section()
  out.add_row("real data", *("" if f is None else f"{f:.3g}" for f in floors))
  return out


def spread(values: list[float]) -> str:
  """Mean ± standard deviation; the value itself of one."""
  mean = f"{statistics.mean(values):.3g}"
  return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.2g}"


if __name__ == "__main__":
  main()
