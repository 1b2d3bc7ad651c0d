"""Trains a run: goes on from its newest checkpoint, logs, saves, evaluates, reports."""

from typing import Any

import numpy as np

from jgm.cli.console import Progress, print_message, print_results
from jgm.cli.errors import UserError
from jgm.cli.log import MetricsLog
from jgm.cli.publish import publish
from jgm.cli.run import Run, evaluate, logged_scalars
from jgm.cli.signals import catch_signals
from jgm.cli.stopping import standing
from jgm.core import checkpoint
from jgm.core.loop import Chunk
from jgm.core.loop import train as training
from jgm.core.state import PyTree

Window = dict[str, list[Any]]  # the metrics of the steps since the last logged row


class Interrupted(UserError):
  """A signal came; everything was saved."""


def train(run: Run) -> None:
  """Trains to `config.total_steps` and reports; goes on where the run was left.

  Args:
    run: what to train.

  Raises:
    Interrupted: if a signal asked it to end; the state has been saved.
    NotFiniteError: if a step gave a number that is not finite; nothing of it was kept.
  """
  state, step, window = _start(run)
  total = run.config.total_steps
  with MetricsLog(run.folder.path) as log:
    log.cut(step)
    with catch_signals() as asked_to_end, Progress(total, step) as progress:
      session = _Session(run, log, progress, window)
      state, step = session.take_steps(state, step, asked_to_end)
    whole = run.program.whole(state)
    print_message(f"evaluating at step {step}")
    evaluations = evaluate(run, whole)
    if not _is_evaluated(log, step):
      log.write(step, logged_scalars(evaluations))
    where = publish(run, log, evaluations, whole, step)
  print_results([e.scalars for e in evaluations], where=where)
  for warning in {w for e in evaluations for w in e.warnings}:
    print_message(f"warning: {warning}")


def _start(run: Run) -> tuple[PyTree, int, Window]:
  """The running state to begin with, its step, and the metrics not yet logged."""
  directory = str(run.folder.checkpoints)
  checkpoint.clean_up(directory)
  if not checkpoint.steps(directory):
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

  def take_steps(self, state: PyTree, step: int, asked_to_end) -> tuple[PyTree, int]:
    """Takes the steps that are left; returns the running state and its step."""
    chunks = training(
      self.run.experiment,
      self.run.program,
      state,
      total_steps=self.config.total_steps,
      stop_every=[every for every in self._periods() if every > 0],
    )
    if self._evaluates_at(step) and not _is_evaluated(self.log, step):
      self._evaluate(state, step)  # a kill came between saving and evaluating
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
        self._evaluate(state, step)
      if self._is_over():
        break
    return state, step

  def _periods(self) -> tuple[int, int, int]:
    config = self.config
    return (
      config.log.every_steps,
      config.checkpoint.every_steps,
      config.eval.every_steps,
    )

  def _saves_at(self, step: int) -> bool:
    may_be_best = self.config.stop.metric is not None and self._evaluates_at(step)
    is_due = _is_due(step, self.config.checkpoint.every_steps)
    return is_due or may_be_best or step == self.config.total_steps

  def _evaluates_at(self, step: int) -> bool:
    return _is_due(step, self.config.eval.every_steps)

  def _log(self, chunk: Chunk) -> None:
    """Adds the chunk to the window, which becomes a row when it is full.

    The window is saved with the state, so that a row says the same whether or not the
    run was interrupted within it.
    """
    for name, rows in chunk.metrics.items():
      self.window.setdefault(name, []).extend(rows.tolist())
    row = None
    is_last = chunk.step == self.config.total_steps
    if _is_due(chunk.step, self.config.log.every_steps) or is_last:
      row = {name: np.mean(rows, axis=0) for name, rows in self.window.items()}
      self.window.clear()
    self.progress.update(chunk.step, row)
    if row is not None:
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

  def _evaluate(self, state: PyTree, step: int) -> None:
    with self.progress.doing("evaluating"):
      whole = self.run.program.whole(state)
      evaluations = evaluate(self.run, whole)
      self.log.write(step, logged_scalars(evaluations))
      publish(self.run, self.log, evaluations, whole, step)

  def _standing(self):
    stop = self.config.stop
    if stop.metric is None:
      return None
    return standing(
      self.log.rows(), metric=stop.metric, mode=stop.mode, patience=stop.patience
    )

  def _is_over(self) -> bool:
    best = self._standing()
    if best is None or not best.is_over:
      return False
    self.progress.message(
      f"stopped: no better {self.config.stop.metric} in {self.config.stop.patience} "
      f"evaluations; the best, {best.best_value:.4g}, was at step {best.best_step}"
    )
    return True


def _is_due(step: int, every: int) -> bool:
  return every > 0 and step > 0 and step % every == 0  # 0: at the end only


def _is_evaluated(log: MetricsLog, step: int) -> bool:
  return any(
    row["step"] == step and any(name.startswith("eval/") for name in row)
    for row in log.rows()
  )
