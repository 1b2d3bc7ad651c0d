"""`python -m benchmarks.sinkhorn`: jgm's solver beside ott-jax, POT and geomloss.

python -m benchmarks.sinkhorn [--tables=iterations,tolerance,gradient,small_epsilon]
  [--contestants=jgm,ott-jax,POT,geomloss] [--sizes=256,1024,4096,16384] [--dims=2,64]
  [--rounds=3] [--limit=60] [--quick] [--large] [--out=runs/sinkhorn.json]
"""

import argparse
import json
import pathlib
from typing import Any

from rich.console import Console

from benchmarks.machine import limits
from benchmarks.sinkhorn.bench import FULL, QUICK, TABLES, Sizes, run


def parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  add = parser.add_argument
  add("--tables", default=",".join(TABLES))
  add("--contestants", default="", help="what their names begin with")
  add("--sizes", default="", help="n of every table but small_epsilon; see bench.py")
  add("--dims", default="", help="d; 2 and 64")
  add("--rounds", type=int, default=3)
  add("--limit", type=float, default=60.0, help="seconds of a turn still worth taking")
  add("--quick", action="store_true", help="small, one round: does all of it run?")
  add("--large", action="store_true", help="only: 3 iterations at n = 100,000")
  add("--out", type=pathlib.Path, default=pathlib.Path("runs/sinkhorn.json"))
  return parser.parse_args()


def choose_sizes(arguments: argparse.Namespace) -> Sizes:
  """The full or the quick sizes, but for those that the command line names."""
  sizes = QUICK if arguments.quick else FULL
  if arguments.dims:
    sizes = sizes._replace(dims=tuple(map(int, arguments.dims.split(","))))
  if arguments.sizes:
    named = tuple(map(int, arguments.sizes.split(",")))
    solve = tuple(n for n in named if n < FULL.large)
    sizes = sizes._replace(
      solve=solve, gradient=solve, large=FULL.large if FULL.large in named else None
    )
  return sizes


def main() -> None:
  arguments, console = parse(), Console(width=120)
  report: dict[str, Any] = {"machine": limits()}
  console.print("this machine:", report["machine"])

  def keep(key: str, results: Any) -> None:
    report[key] = results
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1))

  run(
    ["huge"] if arguments.large else arguments.tables.split(","),
    choose_sizes(arguments),
    console,
    keep,
    rounds=1 if arguments.quick or arguments.large else arguments.rounds,
    limit=arguments.limit,
    prefix=arguments.contestants or ("jgm" if arguments.large else ""),
  )
  console.print(f"written to {arguments.out}")


if __name__ == "__main__":
  main()
