"""Starts processes of this machine that meet as the hosts of a pod do."""

import os
import pathlib
import socket
import subprocess
import sys
from typing import NamedTuple

import pytest

from jgm.cache import cache_dir

HERE = pathlib.Path(__file__).parent
SECONDS = 240  # that a test waits for a process


class Ended(NamedTuple):
  """What a process left."""

  code: int
  out: str
  err: str


def _free_port():
  with socket.socket() as free:
    free.bind(("localhost", 0))
    return free.getsockname()[1]


def _start(script, *arguments, devices, env=None):
  """A process with some simulated devices; as a user's, without the tests' settings."""
  flags = [
    f"--xla_force_host_platform_device_count={devices}",
    "--xla_backend_optimization_level=0",
  ]
  own = {
    "XLA_FLAGS": " ".join(flags),
    "JAX_PLATFORMS": "cpu",
    "JAX_COMPILATION_CACHE_DIR": str(cache_dir("xla")),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
  }
  return subprocess.Popen(
    [sys.executable, HERE / script, *map(str, arguments)],
    cwd=HERE.parents[1],
    env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), **own, **(env or {})},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _ended(processes):
  """What each has left, once all have ended; none is left behind."""
  try:
    texts = [process.communicate(timeout=SECONDS) for process in processes]
  finally:
    for process in processes:
      process.kill()
  return [Ended(p.returncode, *text) for p, text in zip(processes, texts, strict=True)]


@pytest.fixture(scope="session")
def free_port():
  return _free_port


@pytest.fixture(scope="session")
def start():
  """(script, *arguments, devices=, env=) -> a process."""
  return _start


@pytest.fixture(scope="session")
def ended():
  """processes -> what each left, once all have ended."""
  return _ended


@pytest.fixture
def command(tmp_path):
  """(experiment, *flags) -> two processes of two devices that run it in one folder."""

  def begin(experiment, *flags, of_process=lambda process: ((), {})):
    port, processes = _free_port(), []
    for process in range(2):
      more, env = of_process(process)
      meet = [f"--coordinator=localhost:{port}", "--num_processes=2"]
      place = f"--workdir={tmp_path / 'run'}", f"--process_id={process}"
      arguments = [experiment, *flags, *meet, *place, *more]
      processes.append(_start("run.py", *arguments, devices=2, env=env))
    return processes

  return begin
