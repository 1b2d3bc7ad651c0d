"""DANN beside the same network without it: what adaptation gains, over seeds.

python -m benchmarks.dann [--num_seeds=3] [--preset=digits] [--config.x.y=...]

Trains three networks for each seed, alike but for the reversal and the labels: by the
preset; from the source alone (no reversal); and on the target's labels. Prints the
means over seeds, their spreads, and by how many standard errors DANN gains.
"""

import argparse
from collections.abc import Sequence

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

from experiments import dann
from jgm.cli.config import load_config
from jgm.core.program import base_key
from jgm.core.state import new_state
from jgm.eval.domain_adaptation import trained
from jgm.xla import configure_jax

METHODS = ("dann", "source_only", "target_only")
NUMBERS = ("source_accuracy", "target_accuracy", "domain_accuracy", "probe_accuracy")


def config_of(preset: str, method: str, seed: int, overrides: Sequence[str]):
  """The preset's config for one of the methods."""
  config: ConfigDict = load_config(f"configs/dann.py:{preset}", overrides)
  config.seed = seed
  config.eval.baselines = False
  if method != "dann":
    config.reversal.weight = 0.0
  if method == "target_only":
    config.data.name = config.target
  return config


def measure(config: ConfigDict) -> dict[str, float]:
  """The numbers of one training."""
  experiment = dann.make(config)
  params = trained(experiment, config)
  state = new_state(base_key(0), params, (), ema=True)
  scalars = experiment.evaluate(state, base_key(0, "evaluate")).scalars
  return {name: scalars[name].value for name in NUMBERS}


def gain_in_errors(dann: np.ndarray, source_only: np.ndarray) -> tuple[float, float]:
  """The mean gain over seeds and its standard error, the runs being independent."""
  both = (dann, source_only)
  spread = np.sqrt(sum(np.var(each, ddof=1) / len(each) for each in both))
  return float(np.mean(dann) - np.mean(source_only)), float(spread)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--num_seeds", type=int, default=3)
  parser.add_argument("--preset", default="digits")
  arguments, rest = parser.parse_known_args()
  overrides = [each.removeprefix("--config.") for each in rest]
  configure_jax()
  console, found = Console(), {method: [] for method in METHODS}
  for seed in range(arguments.num_seeds):
    for method in METHODS:
      numbers = measure(config_of(arguments.preset, method, seed, overrides))
      found[method].append([numbers[name] for name in NUMBERS])
      jax.clear_caches()
      console.print(f"seed {seed} {method}", numbers)
  results = {method: np.array(rows) for method, rows in found.items()}
  table = Table(title=f"mean ± standard deviation over {arguments.num_seeds} seeds")
  for column in ("", *(name.replace("_", " ") for name in NUMBERS)):
    table.add_column(column)
  for method, rows in results.items():
    cells = zip(rows.mean(axis=0), rows.std(axis=0, ddof=1), strict=True)
    table.add_row(method, *(f"{mean:.3f} ± {spread:.3f}" for mean, spread in cells))
  console.print(table)
  column = NUMBERS.index("target_accuracy")
  gain, error = gain_in_errors(*(results[m][:, column] for m in METHODS[:2]))
  console.print(
    f"gain on the target: {gain:.3f}, {gain / error:.1f} standard errors ({error:.4f})"
  )


if __name__ == "__main__":
  main()
