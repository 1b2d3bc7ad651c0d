"""What is known of one method: its own evaluation's numbers, samples, and costs."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jgm.cli.errors import UserError
from jgm.cli.opening import run_to_train
from jgm.cli.run import Run
from jgm.cli.run_folder import steps_taken
from jgm.cli.train import train_one_of_many
from jgm.compare.evaluations import network_evaluations
from jgm.compare.methods import Method
from jgm.compare.timing import LONG_ENOUGH, StepTimer, time_file
from jgm.core.experiment import Evaluation, Scalar
from jgm.core.program import base_key
from jgm.core.state import Array, TrainState

# The likelihoods that an evaluation may have, and which kind each is.
KINDS = {
  "exact": "exact",
  "bound": "bound",
  "exact_dequantised": "dequantised",  # so a bound too, as its note says
  "bound_dequantised": "bound, dequantised",
}
LIKELIHOODS = {
  f"{unit}_{suffix}": kind
  for unit in ("bits_per_dim", "nats")
  for suffix, kind in KINDS.items()
}


class Costs(NamedTuple):
  """What a method took; None where it is not known."""

  parameters: int  # all that are trained, of all players
  steps: int
  examples: int  # seen, each as often as it was
  training_seconds: float | None
  training_process_seconds: float | None
  seconds_per_1000_samples: float
  network_evaluations: int | None  # for a sample


class Entry(NamedTuple):
  """A method that was trained and measured."""

  name: str
  title: str  # the first line of the experiment's docstring
  command: str  # that trains it alone
  scalars: Mapping[str, Scalar]
  warnings: tuple[str, ...]
  samples: np.ndarray  # [n, ...]
  costs: Costs

  @property
  def likelihood(self) -> tuple[str, Scalar] | None:
    """Which of `LIKELIHOODS` it has, and the number; None where it has none."""
    found = [name for name in LIKELIHOODS if name in self.scalars]
    return (found[0], self.scalars[found[0]]) if found else None


class Failure(NamedTuple):
  """A method that came to nothing."""

  name: str
  error: str


def enter(method: Method, total_steps: int, *, seed: int) -> Entry:
  """Trains a method, or goes on, or finds that it has ended; and measures it.

  The numbers are those of its evaluation at the end of training, and the samples those
  of `--mode=sample`: nothing of them is computed here.

  Args:
    method: the method.
    total_steps: the steps that its budget allows.
    seed: of the samples.

  Returns:
    The Entry.

  Raises:
    UserError: if it was trained for longer: nobody can take that back.
  """
  _check_not_beyond(method, total_steps)
  run = run_to_train(method.options(total_steps), method.make)
  state, evaluation = _train(run, method)
  samples, seconds = _draw(run, state, seed)
  return Entry(
    name=method.name,
    title=run.docstring.strip().splitlines()[0],
    command=run.folder.facts["command"],
    scalars=evaluation.scalars,
    warnings=evaluation.warnings,
    samples=samples,
    costs=_costs(method, state, seconds),
  )


def check_measured_alike(
  first: Entry, other: Entry, quantities: tuple[str, ...]
) -> None:
  """Raises where two methods were not measured by the same nets and real examples.

  Args:
    first: a method.
    other: another.
    quantities: what is compared. Its floor and its ceiling are of real data and of
      noise alone, so they are the same for both, bit for bit.

  Raises:
    UserError: if one of them has no such number, or another floor or ceiling.
  """
  for name in quantities:
    for entry in (first, other):
      if name not in entry.scalars:
        raise UserError(f"{entry.name} does not measure config.quantities {name!r}")
    ends = [(e.scalars[name].floor, e.scalars[name].ceiling) for e in (first, other)]
    if ends[0] != ends[1]:
      raise UserError(
        f"{other.name} measured {name} otherwise than {first.name}: floor and ceiling "
        f"are {ends[1]}, not {ends[0]}"
      )


def _check_not_beyond(method: Method, total_steps: int) -> None:
  taken = steps_taken(method.workdir)
  if taken > total_steps:
    raise UserError(
      f"{method.name} has trained {taken} steps in {method.workdir}, and the budget is "
      f"{total_steps}: give this comparison a --workdir of its own"
    )


def _train(run: Run, method: Method) -> tuple[TrainState, Evaluation]:
  """Trains as `python -m experiments.NAME` does; the state it evaluates in the end."""
  evaluated: list[tuple[TrainState, Evaluation]] = []

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    evaluation = run.experiment.evaluate(state, key)
    evaluated[:] = [(state, evaluation)]
    return evaluation

  timer = StepTimer()
  watched = run._replace(
    experiment=run.experiment._replace(evaluate=evaluate),
    program=timer.timing(run.program),
  )
  try:
    train_one_of_many(watched)
  finally:
    time_file(method).add(timer.times)
  return evaluated[-1]


def _draw(run: Run, state: TrainState, seed: int) -> tuple[np.ndarray, float]:
  """A chunk of samples, and the seconds that it takes.

  The evaluation has compiled the sampler. What else is compiled at first is little, and
  told by drawing again, where that is soon done.
  """
  draw: Callable[..., Any] = run.experiment.sample
  n = run.config.sample.chunk_size
  seconds: list[float] = []
  while sum(seconds) < LONG_ENOUGH:
    key = base_key(seed, "sample")  # the same samples each time
    start = time.perf_counter()
    samples = jax.block_until_ready(draw(state, key, n))
    seconds.append(time.perf_counter() - start)
  return np.asarray(samples), min(seconds)


def _costs(method: Method, state: TrainState, seconds_of_chunk: float) -> Costs:
  steps = int(state.step)
  took = time_file(method).times.of(steps)
  return Costs(
    parameters=sum(leaf.size for leaf in jax.tree.leaves(state.params)),
    steps=steps,
    examples=steps * method.data.batch_size,
    training_seconds=took and took.seconds,
    training_process_seconds=took and took.process_seconds,
    seconds_per_1000_samples=1000 * seconds_of_chunk / method.config.sample.chunk_size,
    network_evaluations=network_evaluations(method.config),
  )
