"""`--profile_steps=FROM-TO`: a trace of what the devices and the host do meanwhile."""

import os
import re
from types import TracebackType
from typing import Any, Self

import jax

from jgm.cli.console import print_message
from jgm.cli.errors import UserError
from jgm.core.program import Program
from jgm.core.state import PyTree

Steps = tuple[int, int]  # the first and the last, both among them, counted from 1


def parse_steps(text: str) -> Steps:
  """Reads FROM-TO.

  Args:
    text: such as "100-120".

  Returns:
    (100, 120).

  Raises:
    UserError: if it is not two numbers, or not a range of steps.
  """
  found = re.fullmatch("([0-9]+)-([0-9]+)", text)
  first, last = map(int, found.groups()) if found else (0, 0)
  if not 1 <= first <= last:
    raise UserError(
      f"--profile_steps={text}: the first and the last step are wanted, counted from "
      "1, for example --profile_steps=100-120"
    )
  return first, last


class Profiler:
  """Traces the compiled calls that overlap some steps, and what lies between them.

  Use it as `with Profiler(path, steps) as profiler: program = profiler.over(program,
  step)`. The trace is written when the last of these calls has ended, or the context,
  by whatever error; of several processes only the first traces: all run one program.
  """

  def __init__(self, path: str | os.PathLike[str], steps: Steps | None):
    """Traces nothing yet.

    Args:
      path: the folder in whose plugins/profile/ the trace is to lie, where TensorBoard
        looks; local or gs://: jax writes to both.
      steps: which; None traces none.
    """
    self._path = os.fspath(path)
    self._steps = steps if jax.process_index() == 0 else None
    self._is_tracing = False
    self._outcome = ""

  def over(self, program: Program, step: int) -> Program:
    """The same program, whose calls are traced where they overlap the steps.

    Args:
      program: what to trace.
      step: the steps that were taken before its next call.

    Returns:
      A Program with another `run`, of the same results.
    """
    if self._steps is None:
      return program
    first, last = self._steps

    def run(state: PyTree, arrays: PyTree, num_steps: int) -> Any:
      nonlocal step
      if step < last and first <= step + num_steps:
        self._start()
      with jax.profiler.StepTraceAnnotation("call", step_num=step + 1):
        results = program.run(state, arrays, num_steps)
      step += num_steps
      if self._is_tracing and step >= last:
        jax.block_until_ready(results)  # a call returns before the devices are done
        self._stop()
      return results

    return program._replace(run=run)

  def __enter__(self) -> Self:
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
  ) -> None:
    if self._is_tracing:
      self._stop()
    if self._steps is not None:
      first, last = self._steps
      print_message(
        self._outcome or f"warning: no profile, no step of {first}-{last} was taken"
      )

  def _start(self) -> None:
    if not self._is_tracing:
      jax.profiler.start_trace(self._path)
      self._is_tracing = True

  def _stop(self) -> None:
    self._is_tracing = False
    try:
      jax.profiler.stop_trace()
      self._outcome = f"profile: `xprof --logdir={self._path}` shows it"
    except jax.errors.JaxRuntimeError as error:  # a full disk is no reason to end a run
      self._outcome = f"warning: no profile: {error}"
