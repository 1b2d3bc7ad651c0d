"""How long training takes, without what compiles, saves and evaluates."""

import json
import sys
import time
from typing import NamedTuple

import jax
from etils import epath

from jgm.cli.opening import load_pretrained
from jgm.cli.run import make_config_program, make_experiment
from jgm.cli.storage import replace_file
from jgm.compare.methods import Method
from jgm.core.loop import train as training
from jgm.core.program import Program

LONG_ENOUGH = 3.0  # s that something is done again and again to be timed


class Times(NamedTuple):
  """Steps, and how long they took."""

  steps: int = 0
  seconds: float = 0.0  # by the clock
  process_seconds: float = 0.0  # of all the process's threads together

  def plus(self, other: "Times") -> "Times":
    """These and others."""
    return Times(
      self.steps + other.steps,
      self.seconds + other.seconds,
      self.process_seconds + other.process_seconds,
    )

  def of(self, steps: int) -> "Times | None":
    """What so many steps take at this pace; None where none was timed."""
    if self.steps == 0:
      return None
    share = steps / self.steps
    return Times(steps, self.seconds * share, self.process_seconds * share)


class StepTimer:
  """Times the compiled calls of one program, but not the first, which compiles."""

  def __init__(self):
    self.times = Times()
    self._is_compiled = False

  def timing(self, program: Program) -> Program:
    """The same program, each of whose calls is waited for and timed."""

    def run(state, arrays, num_steps):
      start, process_start = time.perf_counter(), time.process_time()
      done = jax.block_until_ready(program.run(state, arrays, num_steps))
      taken = time.perf_counter() - start, time.process_time() - process_start
      if self._is_compiled:
        self.times = self.times.plus(Times(num_steps, *taken))
      self._is_compiled = True
      return done

    return program._replace(run=run)


class TimeFile(NamedTuple):
  """time.json in a method's folder: what is not in the run's own files."""

  path: epath.Path

  @property
  def times(self) -> Times:
    """Of the steps that were timed, in all the processes that trained the run."""
    return Times(**self._read()["times"])

  @property
  def seconds_per_step(self) -> float | None:
    """What a budget in seconds was turned into steps by; None where none was."""
    return self._read()["seconds_per_step"]

  def add(self, times: Times) -> None:
    """Adds those of one process."""
    self._write(times=self.times.plus(times)._asdict())

  def set_pace(self, seconds_per_step: float) -> None:
    """Keeps what a step takes, so that the same command means the same steps again."""
    self._write(seconds_per_step=seconds_per_step)

  def _read(self) -> dict:
    if not self.path.exists():
      return {"seconds_per_step": None, "times": Times()._asdict()}
    return json.loads(self.path.read_text())

  def _write(self, **changes) -> None:
    content = {**self._read(), **changes}
    self.path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(self.path, json.dumps(content, indent=2).encode() + b"\n")


def time_file(method: Method) -> TimeFile:
  """The method's time.json, which need not be there yet."""
  return TimeFile(method.workdir / "time.json")


def measure_pace(method: Method) -> float:
  """Seconds of a step, by a few calls of a run that is then thrown away.

  The learning rate's schedule ends with the run and is compiled into its step: so the
  number of steps, and therefore the pace, must be known before the run itself begins.

  Args:
    method: the method; its own number of steps does not matter.

  Returns:
    The mean over some seconds, the compilation left out.
  """
  experiment = make_experiment(method.make, method.config)
  needs = load_pretrained(experiment.pretrained)
  timer = StepTimer()
  program = timer.timing(make_config_program(experiment, method.config, needs))
  state = program.init(method.config.seed)
  for _ in training(experiment, program, state, total_steps=sys.maxsize):
    if timer.times.seconds >= LONG_ENOUGH:
      break
  return timer.times.seconds / timer.times.steps
