"""Policies whose best is known: how near each method comes, and in how many steps.

python -m benchmarks.exact_policies --out=runs/exact_policies [--num_seeds=8]

256 completions without a prompt, each with a reward of its own: see the preset
`enumerable` of each experiment. What is sampled is sampled as in any other run; the
numbers, KL(pi || pi*) and the expected reward, are sums over all completions. Each
method has its own best policy: IPO's is not DPO's. Rows are kept as they are measured,
and the same command goes on.
"""

import argparse
import importlib
import json
import pathlib
import time
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from benchmarks.gan_losses import spread
from jgm.cli.config import load_config
from jgm.core.loop import train
from jgm.core.parallel import make_program
from jgm.core.program import base_key
from jgm.xla import configure_jax

METHODS = {
  "REINFORCE": ("reinforce", "enumerable"),
  "PPO": ("ppo", "enumerable"),
  "TRPO": ("trpo", "enumerable"),
  "DPO": ("dpo", "enumerable"),
  "IPO": ("dpo", "enumerable_ipo"),
}
NUMBERS = ("kl_to_optimum_nats", "expected_reward", "kl_to_reference_nats")


def main() -> None:
  """Trains what is not there yet, and prints the table."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--out", required=True, help="the folder of the rows")
  parser.add_argument("--num_seeds", type=int, default=8)
  parser.add_argument(
    "--methods", default=",".join(METHODS), help="separated by commas"
  )
  options = parser.parse_args()
  configure_jax()
  folder = pathlib.Path(options.out)
  folder.mkdir(parents=True, exist_ok=True)
  rows = {}
  for method in options.methods.split(","):
    experiment, preset = METHODS[method]
    config = load_config(f"configs/{experiment}.py:{preset}")
    file = folder / f"{method}-{options.num_seeds}.json"
    made_by = json.loads(config.to_json_best_effort())
    kept = json.loads(file.read_text()) if file.exists() else {}
    if kept.get("config") != made_by:
      found = measure(experiment, config, options.num_seeds)
      kept = {"config": made_by, "found": found}
      file.write_text(json.dumps(kept))
    rows[method] = kept["found"]
    print(method, rows[method]["kl_to_optimum_nats"]["value"])
  Console(width=120).print(table(rows, options.num_seeds))


def measure(name: str, config: Any, num_seeds: int) -> dict[str, Any]:
  """A run: every number's values over the seeds, beside their bests and beginnings."""
  experiment = importlib.import_module(f"experiments.{name}").make(config)
  program = make_program(
    experiment, num_seeds=num_seeds, steps_per_call=config.parallel.steps_per_call
  )
  state, start = program.init(config.seed), time.process_time()
  for chunk in train(experiment, program, state, total_steps=config.total_steps):
    state = chunk.state
  seconds = (time.process_time() - start) / num_seeds
  whole = program.whole(state)
  completions = config.total_steps * config.data.batch_size
  if name == "dpo":
    completions *= 2  # of each pair
  found: dict[str, Any] = {
    "steps": config.total_steps,
    "completions": completions,
    "CPU_s": seconds,
  }
  for seed in range(num_seeds):
    one = jax.tree.map(lambda x, i=seed: x[i], whole)
    scalars = experiment.evaluate(one, base_key(0, "evaluate")).scalars
    for number in NUMBERS:
      row = found.setdefault(number, {"value": [], "floor": [], "ceiling": []})
      for field in row:
        row[field].append(getattr(scalars[number], field))
  return found


def table(rows: dict[str, dict[str, Any]], num_seeds: int) -> Table:
  """A row for each method: mean and standard deviation over the seeds."""
  out = Table(title=f"256 completions, all listed: {num_seeds} seeds")
  for column in (
    "method",
    "KL(pi || pi*), nats",
    "the reference's",
    "expected reward",
    "the best's",
    "steps",
    "completions",
    "CPU s",
  ):
    out.add_column(column, justify="left" if column == "method" else "right")
  for method, row in rows.items():
    kl, reward = row["kl_to_optimum_nats"], row["expected_reward"]
    out.add_row(
      method,
      spread(kl["value"]),
      spread(kl["ceiling"]),
      spread(reward["value"]),
      spread(reward["floor"]),
      f"{row['steps']:,}",
      f"{row['completions']:,}",
      f"{row['CPU_s']:.0f}",
    )
  return out


if __name__ == "__main__":
  main()
