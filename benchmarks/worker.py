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
  report: Callable[[], Mapping[str, Any]] = dict  # of the last run; not timed


def num_threads() -> int:
  """The cores that this process may use."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def serve(
  make: Callable[[dict[str, Any]], Contestant], *, warm_up_runs: int = 2
) -> None:
  """Makes the workload of the command line, then does as much of it as each line says.

  One line of JSON answers each: first the facts, then wall and processor seconds.

  Args:
    make: the contestant of a workload.
    warm_up_runs: units of work that are done before the facts are told.
  """
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # what libraries print is not an answer

  def answer(**values: Any) -> None:
    print(json.dumps(values), file=answers, flush=True)

  start = time.perf_counter()
  contestant = make(json.loads(sys.argv[1]))
  for _ in range(warm_up_runs):
    contestant.run(1)
  answer(first_step_seconds=time.perf_counter() - start, **contestant.facts)
  for line in sys.stdin:
    _forget_peak()
    idle_mib = _mib("VmRSS")
    wall, processor = time.perf_counter(), time.process_time()
    contestant.run(int(line))
    wall = time.perf_counter() - wall
    processor = time.process_time() - processor
    peak_mib = _mib("VmHWM")  # before the report, which is not the work
    answer(
      wall=wall,
      processor=processor,
      peak_mib=peak_mib,
      idle_mib=idle_mib,
      **contestant.report(),
    )


class Worker:
  """The other end of `serve`: a process that does one workload."""

  def __init__(self, python: str, module: str, workload: Mapping[str, Any]):
    self._module = module
    self._process = subprocess.Popen(
      [python, "-m", module, json.dumps(workload)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    try:
      self.facts = self._answer()
    except RuntimeError:
      self.close()
      raise

  def run(self, units: int) -> dict[str, float]:
    """Works: {"wall": s, "processor": s, "peak_mib": MiB, "idle_mib": before it}."""
    self._process.stdin.write(f"{units}\n")
    self._process.stdin.flush()
    return self._answer()

  def close(self) -> None:
    """Ends the process."""
    self._process.stdin.close()
    self._process.wait()

  def _answer(self) -> dict[str, Any]:
    for line in self._process.stdout:
      if line.startswith("{"):  # not what a library prints while it is imported
        return json.loads(line)
    raise RuntimeError(f"{self._module} ended; see above")


def _forget_peak() -> None:
  """Compilation's memory is not the work's: start the peak again, where Linux can."""
  path = pathlib.Path("/proc/self/clear_refs")
  if path.exists():
    path.write_text("5")


def _mib(field: str) -> float:
  """VmRSS, resident now, or VmHWM, the most since `_forget_peak`."""
  status = pathlib.Path("/proc/self/status")
  if status.exists():
    return int(re.search(rf"{field}:\s+(\d+)", status.read_text())[1]) / 2**10
  unit = 2**20 if sys.platform == "darwin" else 2**10
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
