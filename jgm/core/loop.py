"""The training loop: a generator of chunks of steps, which its user acts on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jgm.core.compiled import guarded
from jgm.core.experiment import Experiment
from jgm.core.finite import first_non_finite
from jgm.core.program import Program
from jgm.core.state import PyTree


class Chunk(NamedTuple):
  """What one compiled call did."""

  step: int  # outer steps taken so far
  state: PyTree  # the running state; valid until the next chunk is asked for
  metrics: dict[str, np.ndarray]  # leaves [number of steps] or, with seeds, [.., N]


class NotFiniteError(ArithmeticError):
  """A step gave a number that is not finite; nothing of it was kept."""

  def __init__(self, step: int, leaf: str | None, seeds: Sequence[int] = ()):
    self.step, self.leaf, self.seeds = step, leaf, tuple(seeds)
    of_seeds = f" of config.seed+{', +'.join(map(str, seeds))}" if seeds else ""
    where = (
      f"the first leaf that is not finite is {leaf}"
      if leaf
      else "taken again by itself it is finite: the numbers are on the edge of overflow"
    )
    super().__init__(f"step {step + 1}{of_seeds} is not finite: {where}")


def train(
  experiment: Experiment,
  program: Program,
  state: PyTree,
  *,
  total_steps: int,
  stop_every: Sequence[int] = (),
) -> Iterator[Chunk]:
  """Trains, and hands out the state after each compiled call.

  There are no callbacks: the user's loop over the chunks logs, saves and evaluates.

  Args:
    experiment: whose data to read.
    program: the compiled experiment.
    state: the running state to start from; it is donated.
    total_steps: the step at which to end.
    stop_every: periods, in steps, at whose multiples something is done: a call never
      crosses such a step.

  Yields:
    A Chunk after each call, of at most `program.steps_per_call` steps.

  Raises:
    NotFiniteError: if a step gives a number that is not finite.
  """
  step = steps_taken(state)
  arrays = _arrays_from(experiment, program)
  needed = arrays(step)
  following = needed
  while step < total_steps:
    num_steps = _steps_until_stop(step, total_steps, stop_every, program.steps_per_call)
    state, metrics, ok = program.run(state, needed, num_steps)
    if step + num_steps < total_steps:  # read ahead while the device is at work
      following = arrays(step + num_steps)
    if not bool(ok):
      raise _diagnose(program, state, needed)
    step, needed = step + num_steps, following
    rows = {name: np.asarray(rows)[:num_steps] for name, rows in metrics.items()}
    yield Chunk(step, state, rows)


def _arrays_from(experiment: Experiment, program: Program) -> Callable[[int], PyTree]:
  """step -> the arrays of the call that begins there, on the devices."""
  host_arrays: PyTree = None
  placed: PyTree = {}

  def arrays(step: int) -> PyTree:
    nonlocal host_arrays, placed
    if experiment.data is not None:
      asked_for = experiment.data.arrays(step, program.steps_per_call, program.rows)
      if asked_for is not host_arrays:  # data in memory are the same object each time
        host_arrays, placed = asked_for, program.place(asked_for)
    return placed

  return arrays


def steps_taken(state: PyTree) -> int:
  """The outer steps taken by a state, be it running or whole, or of many seeds."""
  return int(np.ravel(state.step)[0])


def _steps_until_stop(
  step: int, total_steps: int, stop_every: Sequence[int], steps_per_call: int
) -> int:
  ends = [total_steps, *((step // every + 1) * every for every in stop_every)]
  return min(steps_per_call, *(end - step for end in ends))


def _diagnose(program: Program, state: PyTree, arrays: PyTree) -> NotFiniteError:
  """Takes the bad step again from the last good state, to name what went wrong."""
  new_state, metrics = program.rerun(state, arrays)
  looked_at = guarded(new_state, metrics)
  step = steps_taken(state)
  if program.num_seeds == 1:
    return NotFiniteError(step, _first_bad(looked_at))
  of_seed = lambda i: jax.tree.map(lambda leaf: leaf[i], looked_at)
  found = {i: _first_bad(of_seed(i)) for i in range(program.num_seeds)}
  bad = {i: path for i, path in found.items() if path}
  return NotFiniteError(step, next(iter(bad.values()), None), list(bad))


def _first_bad(looked_at: Mapping[str, PyTree]) -> str | None:
  fields = ("params", "model_state", "ema_params", "metrics")
  paths = (first_non_finite({field: looked_at[field]}) for field in fields)
  return next((path for path in paths if path), None)
