"""Every sampler on one trained model: how near to the data, for how many evaluations.

python -m benchmarks.samplers [--workdir=runs/ddpm] [--evaluations=5,10,20,50,100,1000]
  [--num_seeds=5] [--samplers=...] [--out=runs/samplers]

The Frechet distance of N samples to held-out images, beside real training images in
their place, against the evaluations of the network that each sample took. Each point is
kept as soon as it is measured: run the same command again to go on, or with more seeds.
"""

import argparse
import json
import pathlib
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

import jgm
from jgm.eval.frechet import frechet_distance
from jgm.eval.line_plot import line_plot
from jgm.eval.pictures import write_png
from jgm.eval.reference import Reference, make_reference

NUM_SAMPLES = 500
REFERENCE = ("ancestral", 1000)  # what the others are to meet


class Entrant(NamedTuple):
  """A sampler as it is entered: where its steps are, what each of them costs."""

  spacing: str | None
  per_step: int = 1  # evaluations of the network
  saved: int = 0  # fewer in all: the last step is a plain one

  def num_steps(self, evaluations: int) -> int:
    """The most steps that take no more than so many evaluations."""
    return max(1, (evaluations + self.saved) // self.per_step)

  def evaluations(self, num_steps: int) -> int:
    """What so many steps cost."""
    return self.per_step * num_steps - self.saved


# Steps even in time for all: spaced by their papers' own grids, which begin where the
# cosine schedule has no signal left, Heun and DPM-Solver++ were worse at few steps.
ENTRANTS = {
  "ancestral": Entrant(None),
  "ddim": Entrant(None),
  "dpm_solver": Entrant(None),
  "heun": Entrant(None, per_step=2, saved=1),
  "euler_maruyama": Entrant(None),
  "predictor_corrector": Entrant(None, per_step=2, saved=1),
}


def key_of(sampler: str, evaluations: int, seed: int) -> str:
  """The name of a point among the results."""
  return f"{sampler}/{evaluations}/{seed}"


def measure(run: Any, reference: Reference, name: str, wanted: int, seed: int) -> float:
  """The Frechet distance of one sampler's samples.

  Args:
    run: the trained run.
    reference: the held-out images and the feature net.
    name: the sampler.
    wanted: evaluations of the network.
    seed: of the sampling.

  Returns:
    The distance.
  """
  entrant = ENTRANTS[name]
  samples = np.asarray(
    run.sample(
      NUM_SAMPLES,
      seed=seed,
      sampler=name,
      num_steps=entrant.num_steps(wanted),
      spacing=entrant.spacing,
    )
  )
  spec = reference.spec
  features = reference.nets.features(samples.clip(spec.low, spec.high))
  return frechet_distance(features, reference.test.features)


def summary(
  results: dict[str, float], name: str, wanted: int
) -> tuple[float, float, int]:
  """The mean, the standard deviation and the number of the seeds there are."""
  prefix = f"{name}/{wanted}/"
  values = [value for key, value in results.items() if key.startswith(prefix)]
  if not values:
    return np.nan, np.nan, 0
  return (
    float(np.mean(values)),
    float(np.std(values, ddof=len(values) > 1)),
    len(values),
  )


def fewest(results: dict[str, float], name: str, counts: list[int]) -> int | None:
  """The fewest evaluations at which a sampler is as good as the reference.

  As good: its mean is no more than two standard errors (both's) above the reference's.
  """
  goal, spread, n = summary(results, *REFERENCE)
  for wanted in counts:
    mean, own_spread, own_n = summary(results, name, wanted)
    if (
      own_n
      and n
      and mean <= goal + 2 * np.hypot(spread / n**0.5, own_spread / own_n**0.5)
    ):
      return wanted
  return None


def table(results: dict[str, float], names: list[str], counts: list[int], floor: str):
  """The results as a table of mean +- standard deviation over seeds."""
  out = Table(title=f"Frechet distance of {NUM_SAMPLES} samples; real data: {floor}")
  has_reference = summary(results, *REFERENCE)[2] > 0  # not where only few steps are
  compared = ["meets ancestral at 1000 from"] if has_reference else []
  for column in ("sampler", *map(str, counts), *compared):
    out.add_column(column, justify="left" if column == "sampler" else "right")
  for name in names:
    cells = []
    for wanted in counts:
      mean, spread, n = summary(results, name, wanted)
      cells.append(f"{mean:.3g} ± {spread:.2g} ({n})" if n else "")
    if has_reference:
      cells.append(str(fewest(results, name, counts) or "-"))
    out.add_row(name, *cells)
  return out


def picture(
  results: dict[str, float], names: list[str], counts: list[int], floor: float
):
  """The same as a picture: uint8 [., ., 3]."""
  series = {}
  for name in names:
    entrant, points = ENTRANTS[name], []
    for wanted in counts:
      mean, spread, n = summary(results, name, wanted)
      if n:
        points.append((entrant.evaluations(entrant.num_steps(wanted)), mean, spread))
    if points:
      series[name] = tuple(np.array(points).T)
  return line_plot(
    series,
    x_label="evaluations of the network per sample",
    y_label="Fréchet distance",
    log_x=True,
    log_y=True,
    floor=floor,
    floor_label="real data",
  )


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--workdir", default="runs/ddpm")
  parser.add_argument("--evaluations", default="5,10,20,50,100,1000")
  parser.add_argument("--num_seeds", type=int, default=5)
  parser.add_argument("--samplers", default=",".join(ENTRANTS))
  parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/samplers"))
  arguments = parser.parse_args()
  counts = [int(count) for count in arguments.evaluations.split(",")]
  names = arguments.samplers.split(",")
  console = Console()
  run = jgm.load(arguments.workdir)
  data, options = run.experiment.data, run.config.eval
  reference = make_reference(
    data.split("train"),
    data.split("test"),
    spec=data.spec,
    name=data.name,
    num_samples=NUM_SAMPLES,
    seed=options.seed,
    net_steps=options.net_steps,
  )
  arguments.out.mkdir(parents=True, exist_ok=True)
  file = arguments.out / "samplers.json"
  results = json.loads(file.read_text()) if file.exists() else {}
  for seed in range(arguments.num_seeds):
    for wanted in counts:
      for name in names:
        key = key_of(name, wanted, seed)
        if key not in results:
          results[key] = measure(run, reference, name, wanted, seed)
          file.write_text(json.dumps(results, indent=1))
          console.print(f"{key}  {results[key]:.4g}")
  floor = reference.floors["frechet_distance"]
  console.print(table(results, names, counts, f"{floor.mean:.3g} ± {floor.spread:.2g}"))
  write_png(arguments.out / "samplers.png", picture(results, names, counts, floor.mean))
  console.print(f"written to {arguments.out}")


if __name__ == "__main__":
  main()
