"""Trains a run: goes on from its newest checkpoint, logs, saves, evaluates, reports."""

from typing import Any

import numpy as np

from jgm.cli.console import (
  Progress,
  print_message,
  print_results,
  print_texts,
  print_warnings,
)
from jgm.cli.errors import UserError
from jgm.cli.log import MetricsLog, NoLog
from jgm.cli.processes import first_says, is_first, wait_for_all
from jgm.cli.profile import Profiler
from jgm.cli.publish import publish
from jgm.cli.run import Run, evaluate, logged_scalars
from jgm.cli.signals import catch_signals
from jgm.cli.stopping import Standing, check_measured, standing
from jgm.core import checkpoint
from jgm.core.experiment import Evaluation
from jgm.core.loop import Chunk
from jgm.core.loop import train as training
from jgm.core.state import PyTree

Window = dict[str, list[Any]]  # the metrics of the steps since the last logged row


class Interrupted(UserError):
  """A signal came; everything was saved."""


def train(run: Run, profile_steps: tuple[int, int] | None = None) -> str | None:
  """Trains to `config.total_steps` and reports; goes on where the run was left.

  All processes of a run call it alike, and the first one writes.

  Args:
    run: what to train.
    profile_steps: from which step to which a trace is made; None makes none.

  Returns:
    The signal that came while it reported, or None: it has ended, and who has more to
    train is to end too, see `train_one_of_many`.

  Raises:
    Interrupted: if a signal asked it to end; the state has been saved.
    NotFiniteError: if a step gave a number that is not finite; nothing of it was kept.
  """
  state, step, window = _start(run)
  total = run.config.total_steps
  with MetricsLog(run.folder.path) if is_first() else NoLog() as log:
    log.cut(step)
    with (
      catch_signals() as asked_to_end,
      Profiler(run.folder.path, profile_steps) as profiler,
      Progress(total, step) as progress,
    ):
      program = profiler.over(run.program, step)
      session = _Session(run._replace(program=program), log, progress, window)
      state, step = session.take_steps(state, step, asked_to_end)
      evaluations, where = session.evaluate(state, step)
      signal = asked_to_end()
  wait_for_all("the report is written")  # or the others end, and JAX with them
  print_texts(evaluations)
  print_results([each.scalars for each in evaluations], where=where)
  print_warnings(evaluations)
  return signal


def train_one_of_many(run: Run) -> None:
  """Trains a run that others follow.

  Args:
    run: what to train.

  Raises:
    Interrupted: as `train`, and where the signal came while it reported.
    NotFiniteError: as `train`.
  """
  signal = train(run)
  if signal:
    raise Interrupted(f"{signal}: {run.folder.path} has ended; run it again to go on")


def _start(run: Run) -> tuple[PyTree, int, Window]:
  """The running state to begin with, its step, and the metrics not yet logged."""
  directory = str(run.folder.checkpoints)
  checkpoint.clean_up(directory)
  if first_says(not checkpoint.steps(directory)):
    return run.program.init(run.config.seed), 0, {}
  restored = checkpoint.restore(directory, run.program.abstract, warn=print_message)
  print_message(f"resuming from step {restored.step}")
  state = run.program.running(restored.state)
  return state, restored.step, restored.metadata["window"]


class _Session:
  """What happens between the compiled calls of one training process."""

  def __init__(self, run: Run, log: MetricsLog, progress: Progress, window: Window):
    self.run, self.log, self.progress, self.window = run, log, progress, window
    self.config = run.config
    self.evaluated: tuple[int, Any] | None = None  # the step, and what came of it

  def take_steps(self, state: PyTree, step: int, asked_to_end) -> tuple[PyTree, int]:
    """Takes the steps that are left; returns the running state and its step."""
    chunks = training(
      self.run.experiment,
      self.run.program,
      state,
      total_steps=self.config.total_steps,
      stop_every=[every for every in self._periods() if every > 0],
    )
    if self._evaluates_at(step) and not self._is_evaluated(step):
      self.evaluate(state, step)  # a kill came between saving and evaluating
    if self._is_over():
      return state, step
    for chunk in chunks:
      state, step = chunk.state, chunk.step
      self._log(chunk)
      signal = asked_to_end()
      if signal or self._saves_at(step):
        self._save(state, step)
      if signal:
        raise Interrupted(f"{signal}: saved at step {step}; run it again to go on")
      if self._evaluates_at(step):
        self.evaluate(state, step)
      if self._has_row_at(step) and self._is_over():
        if not self._saves_at(step):
          self._save(state, step)
        break
    return state, step

  def _periods(self) -> tuple[int, int, int]:
    config = self.config
    return (
      config.log.every_steps,
      config.checkpoint.every_steps,
      config.eval.every_steps,
    )

  def _has_row_at(self, step: int) -> bool:
    return _is_due(self.config.log.every_steps, step) or self._evaluates_at(step)

  def _saves_at(self, step: int) -> bool:
    # Before an evaluation too: it may be long, and its metric may be the best.
    is_due = _is_due(self.config.checkpoint.every_steps, step)
    return is_due or self._evaluates_at(step) or step == self.config.total_steps

  def _evaluates_at(self, step: int) -> bool:
    return _is_due(self.config.eval.every_steps, step)

  def _log(self, chunk: Chunk) -> None:
    """Adds the chunk to the window, which becomes a row when it is full.

    The window is saved with the state, so that a row says the same whether or not the
    run was interrupted within it.
    """
    for name, rows in chunk.metrics.items():
      self.window.setdefault(name, []).extend(rows.tolist())
    row: dict[str, Any] | None = None
    is_last = chunk.step == self.config.total_steps
    if _is_due(self.config.log.every_steps, chunk.step) or is_last:
      row = {name: _mean(rows) for name, rows in self.window.items()}
      self.window.clear()
    self.progress.update(chunk.step, row)
    if row is not None:
      check_measured(self.config.stop.metric, row, evaluated=False)
      if speed := self.progress.steps_per_second:
        row["time/steps_per_second"] = speed
      self.log.write(chunk.step, row)

  def _save(self, state: PyTree, step: int) -> None:
    best = self._standing()
    self.log.flush()
    with self.progress.doing("saving"):
      checkpoint.save(
        str(self.run.folder.checkpoints),
        self.run.program.whole(state),
        step=step,
        metadata={"window": self.window},
        max_to_keep=self.config.checkpoint.keep,
        protect=[best.best_step] if best else [],
      )

  def evaluate(self, state: PyTree, step: int) -> tuple[list[Evaluation], dict]:
    """Evaluates the state, once: logs the numbers, and publishes pictures and report.

    Args:
      state: the running state.
      step: its step.

    Returns:
      One Evaluation per seed, and where to look.
    """
    if self.evaluated is None or self.evaluated[0] != step:
      with self.progress.doing("evaluating"):
        whole = self.run.program.whole(state)
        evaluations = evaluate(self.run, whole)
        row = logged_scalars(evaluations)
        check_measured(self.config.stop.metric, row, evaluated=True)
        if not self._is_evaluated(step):
          self.log.write(step, row)
        where = {}
        if is_first():
          where = publish(self.run, self.log, evaluations, whole, step)
      self.evaluated = (step, (evaluations, where))
    return self.evaluated[1]

  def _standing(self) -> Standing | None:
    stop = self.config.stop
    if stop.metric is None:
      return None
    return standing(
      self.log.rows(), metric=stop.metric, mode=stop.mode, patience=stop.patience
    )

  def _is_over(self) -> bool:
    if self.config.stop.metric is None:
      return False
    best = self._standing()
    if not first_says(best is not None and best.is_over):
      return False
    if best is not None:
      self.progress.message(
        f"stopped: no better {self.config.stop.metric} in {self.config.stop.patience} "
        f"evaluations; the best, {best.best_value:.4g}, was at step {best.best_step}"
      )
    return True

  def _is_evaluated(self, step: int) -> bool:
    return first_says(
      any(
        row["step"] == step and any(name.startswith("eval/") for name in row)
        for row in self.log.rows()
      )
    )


def _mean(rows: list[Any]) -> np.ndarray:
  """The mean over steps; NaN says that a step had nothing to average."""
  values = np.asarray(rows)
  num_there = np.sum(~np.isnan(values), axis=0)
  with np.errstate(invalid="ignore"):  # nothing in any step: 0 / 0 is NaN again
    return np.nansum(values, axis=0) / num_there


def _is_due(every_steps: int, step: int) -> bool:
  """Whether something of this period is done at a step; 0: at the end only."""
  return every_steps > 0 and step > 0 and step % every_steps == 0
