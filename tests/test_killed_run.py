"""A run that is killed three times ends bit for bit as one that is left alone."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from jgm.cli.log import read_rows
from jgm.cli.opening import existing_run
from jgm.core import checkpoint

ROOT = pathlib.Path(__file__).parents[1]
ARGUMENTS = [
  "--config=configs/ddpm.py:smoke",
  "--config.total_steps=600",
  "--config.parallel.steps_per_call=3",
  "--config.log.every_steps=7",
  "--config.checkpoint.every_steps=10",
  "--config.eval.every_steps=300",
]


def start(workdir):
  # One device, as a user has: the tests' own eight are simulated.
  environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
  return subprocess.Popen(
    [sys.executable, "-m", "experiments.ddpm", f"--workdir={workdir}", *ARGUMENTS],
    cwd=ROOT,
    env=environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def finish(workdir):
  process = start(workdir)
  output, _ = process.communicate(timeout=240)
  assert process.returncode == 0, output
  return output


def kill_when(workdir, ready):
  process = start(workdir)
  while not ready() and process.poll() is None:
    time.sleep(0.0005)
  assert process.poll() is None, f"it ended first: {process.communicate()[0]}"
  process.send_signal(signal.SIGKILL)
  process.communicate()


def newest_step(workdir):
  return max(checkpoint.steps(str(workdir / "checkpoints")), default=0)


def is_saving(workdir):
  return any(
    "orbax-checkpoint-tmp" in p.name for p in (workdir / "checkpoints").glob("*")
  )


def timeless(workdir):
  return [
    {name: value for name, value in row.items() if not name.startswith("time/")}
    for row in read_rows(workdir / "metrics.jsonl")
  ]


@pytest.mark.slow
def test_three_kills_change_no_bit(tmp_path):
  left_alone, killed = tmp_path / "left_alone", tmp_path / "killed"
  finish(left_alone)
  moments = random.Random(0)
  for _ in range(2):
    target = newest_step(killed) + moments.randrange(20, 150)
    kill_when(killed, lambda target=target: newest_step(killed) >= target)
  after = newest_step(killed) + 30
  kill_when(killed, lambda: newest_step(killed) > after and is_saving(killed))
  assert "resuming from step" in finish(killed)
  assert timeless(left_alone) == timeless(killed)
  states = []
  for workdir in (left_alone, killed):
    run = existing_run(workdir, overrides=("parallel.data_devices=1",))
    states.append(
      checkpoint.restore(str(run.folder.checkpoints), run.program.abstract).state
    )
  for a, b in zip(*map(jax.tree.leaves, states), strict=True):
    if not jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
      np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
