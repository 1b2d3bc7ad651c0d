"""A process that works when it is told to, so that two can take turns on one machine.

Only the standard library, since the peer's environment has no jgm.
"""

import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Contestant(NamedTuple):
  """What a worker makes of a workload."""

  run: Callable[[int], None]  # does n units of work and waits for them
  facts: Mapping[str, Any]  # parameters, forward FLOPs per step, ...


def num_threads() -> int:
  """The cores that this process may use."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def serve(make: Callable[[dict[str, Any]], Contestant]) -> None:
  """Makes the workload of the command line, then does as much of it as each line says.

  One line of JSON answers each: first the facts, then wall and processor seconds.
  """
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # what libraries print is not an answer

  def answer(**values: Any) -> None:
    print(json.dumps(values), file=answers, flush=True)

  start = time.perf_counter()
  contestant = make(json.loads(sys.argv[1]))
  contestant.run(1)
  contestant.run(1)
  answer(first_step_seconds=time.perf_counter() - start, **contestant.facts)
  _forget_peak()
  for line in sys.stdin:
    wall, processor = time.perf_counter(), time.process_time()
    contestant.run(int(line))
    answer(
      wall=time.perf_counter() - wall,
      processor=time.process_time() - processor,
      peak_mib=_peak_mib(),
    )


class Worker:
  """The other end of `serve`: a process that does one workload."""

  def __init__(self, python: str, module: str, workload: Mapping[str, Any]):
    self._process = subprocess.Popen(
      [python, "-m", module, json.dumps(workload)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    self.facts = self._answer()

  def run(self, units: int) -> dict[str, float]:
    """Works: {"wall": s, "processor": s, "peak_mib": MiB while training}."""
    self._process.stdin.write(f"{units}\n")
    self._process.stdin.flush()
    return self._answer()

  def close(self) -> None:
    """Ends the process."""
    self._process.stdin.close()
    self._process.wait()

  def _answer(self) -> dict[str, Any]:
    line = self._process.stdout.readline()
    if not line:
      raise RuntimeError(f"the worker {self._process.args} ended; see above")
    return json.loads(line)


def _forget_peak() -> None:
  """Compilation's memory is not training's: start the peak again, where Linux can."""
  path = pathlib.Path("/proc/self/clear_refs")
  if path.exists():
    path.write_text("5")


def _peak_mib() -> float:
  status = pathlib.Path("/proc/self/status")
  if status.exists():
    return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) / 2**10
  unit = 2**20 if sys.platform == "darwin" else 2**10
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
