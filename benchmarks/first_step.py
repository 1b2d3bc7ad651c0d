"""Seconds from the start of a process to the end of its first training step.

jgm as `python -m experiments.NAME` goes there, with its data read; PyTorch with random
data, eager and compiled. "cold": nothing that was compiled is kept from before. "warm":
the second start, with what the first has kept. A fresh process in each turn; the files
of the libraries have been read once before. The embedded data are prepared before.
"""

import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contest import Results, by_round, leaving_out, left_out, ran
from benchmarks.ddpm_step import WORKLOADS as DDPM
from benchmarks.gpt_step import WORKLOADS as GPT
from benchmarks.peer import python_of
from configs.ddpm import get_config
from jgm.cache import cache_dir

WORKLOADS = {
  f"{experiment}_{state}": {"experiment": experiment, "state": state}
  for experiment in ("ddpm", "gpt")
  for state in ("cold", "warm")
}
PEERS = ("peer", "transformers")
PHASES = ("imports", "tracing", "compile")  # what is left: data, folder, init, the step
MOST_ROUNDS = 3
XLA = "xla"  # the part of jgm's cache that holds compiled programs

Job = tuple[str, str, dict[str, Any]]


def contestants(experiment: str) -> dict[str, Job]:
  """{name: (environment, module, job)}."""
  jgm = {"jgm": ("jgm", "benchmarks.first_step_worker", {"experiment": experiment})}
  if experiment == "ddpm":
    model = get_config("").model.to_dict()
    job = {"task": "train", "model": model, "channels_last": False, **DDPM["digits"]}
    peer, name = "peer", "diffusers"
  else:
    job, peer, name = GPT["docs"], "transformers", "PyTorch"
  job = {**job, "experiment": experiment}
  module = "benchmarks.first_step_peer_worker"
  return {
    **jgm,
    name: (peer, module, {**job, "compiled": False}),
    f"{name}, compiled": (peer, module, {**job, "compiled": True}),
  }


def bench(name: str, rounds: int, console: Console) -> dict[str, Any]:
  """Measures one workload, prints it, and returns what is written down."""
  workload, results = WORKLOADS[name], {}
  with tempfile.TemporaryDirectory() as folder:
    jobs = contestants(workload["experiment"])
    for contestant, job in jobs.items():
      with leaving_out(contestant, results, job[0]):
        start(job, pathlib.Path(folder, "kept"))
        results[contestant] = {"wall": [], **{phase: [] for phase in PHASES}}
    for index in range(min(rounds, MOST_ROUNDS)):
      cache = "kept" if workload["state"] == "warm" else str(index)
      for contestant, result in ran(results).items():
        with leaving_out(contestant, results, jobs[contestant][0]):
          answer = start(jobs[contestant], pathlib.Path(folder, cache))
          for phase, seconds in answer.items():
            result[phase].append(seconds)
  title = f"first step of {workload['experiment']}, {workload['state']}"
  console.print(table(title, results))
  return {"results": results}


def start(job: Job, cache: pathlib.Path) -> dict[str, float]:
  """One fresh process: seconds in all, and of the phases that it can tell.

  Args:
    job: who is started, with what.
    cache: where compiled programs are kept.

  Returns:
    {"wall": seconds, and of `PHASES` those that there are}.

  Raises:
    RuntimeError: if the process fails; what it said is above.
  """
  environment, module, workload = job
  python = python_of(environment)
  with tempfile.TemporaryDirectory() as workdir:
    workload = {**workload, "workdir": workdir, "started": time.time()}
    ended = subprocess.run(
      [python, "-m", module, json.dumps(workload)],
      env={**os.environ, **caches_in(cache)},
      stdout=subprocess.PIPE,
      text=True,
    )
  answers = [line for line in ended.stdout.splitlines() if line.startswith("{")]
  if ended.returncode or not answers:
    raise RuntimeError(f"{module} ended; see above")
  return json.loads(answers[-1])


def caches_in(folder: pathlib.Path) -> dict[str, str]:
  """The variables by which programs are kept in a folder, and all else where it was."""
  mine = folder / "jgm"
  mine.mkdir(parents=True, exist_ok=True)
  for part in cache_dir().iterdir():
    if part.name != XLA:
      with contextlib.suppress(FileExistsError):
        (mine / part.name).symlink_to(part)
  return {"JGM_CACHE": str(mine), "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}


def table(title: str, results: Results) -> Table:
  """Medians in seconds, in all and by phase, and each one's time over the best peer's.

  Args:
    title: the table's.
    results: {name: {"wall": [s], and the phases, empty where they are not known}}.

  Returns:
    The table. "peer/this" above 1: there sooner than the best peer.
  """
  out = Table(title=title, caption=left_out(results))
  for column in ("", "s", "min-max", *PHASES, "the rest", "peer/this"):
    out.add_column(column, justify="left" if not column else "right")
  there = ran(results)
  peers = [result["wall"] for name, result in there.items() if name != "jgm"]
  best = min(peers, key=statistics.median, default=None)
  for name, result in there.items():
    wall = result["wall"]
    phases = [result[phase] for phase in PHASES if result[phase]]
    rest = [whole - sum(parts) for whole, *parts in zip(wall, *phases, strict=True)]
    out.add_row(
      name,
      f"{statistics.median(wall):.2f}",
      f"{min(wall):.2f}-{max(wall):.2f}",
      *(_median(result[phase]) for phase in PHASES),
      _median(rest),
      f"{statistics.median(by_round(best, wall)):.2f}" if best else "-",
    )
  return out


def _median(seconds: list[float]) -> str:
  return f"{statistics.median(seconds):.2f}" if seconds else "-"
