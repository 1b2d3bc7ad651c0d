"""Early stopping, computed again from the logged rows each time: it has no state."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from jgm.cli.errors import UserError
from jgm.core.choice import did_you_mean


class Standing(NamedTuple):
  """Where a run stands by the metric that may stop it."""

  best_step: int
  best_value: float
  is_over: bool  # no improvement for `patience` evaluations


def is_evaluated(metric: str) -> bool:
  """Whether a metric is of an evaluation, and not of training steps."""
  return metric.startswith("eval/")


def check_stop(config: ConfigDict) -> None:
  """Raises, before anything is trained, where early stopping could never act.

  Args:
    config: the run's.

  Raises:
    UserError: if `config.stop.mode` is none, or the metric is measured at the end only.
  """
  stop = config.stop
  if stop.metric is None:
    return
  if stop.mode not in ("min", "max"):
    raise UserError(f'config.stop.mode is "min" or "max", not {stop.mode!r}')
  section = "eval" if is_evaluated(stop.metric) else "log"
  if config[section].every_steps == 0:
    raise UserError(
      f"config.stop.metric={stop.metric!r} would be measured at the end only: set "
      f"config.{section}.every_steps"
    )


def check_measured(metric: str | None, row: Mapping[str, Any], *, evaluated: bool):
  """Raises where a row that should hold the metric of early stopping does not.

  Args:
    metric: `config.stop.metric`.
    row: name -> what was measured.
    evaluated: whether the row is of an evaluation, and not of training steps.

  Raises:
    UserError: if it is not there; the nearest that is there is named.
  """
  if metric is None or is_evaluated(metric) != evaluated or metric in row:
    return
  hint = did_you_mean(metric, row)
  if not evaluated:
    hint += " What an evaluation measures is named 'eval/NAME'."
  raise UserError(f"config.stop.metric={metric!r} is not measured.{hint}")


def standing(
  rows: Iterable[Mapping[str, Any]], *, metric: str, mode: str, patience: int
) -> Standing | None:
  """The best step so far, and whether training should end.

  Args:
    rows: the rows of metrics.jsonl.
    metric: the name in the rows; with several seeds their mean counts.
    mode: "min" or "max".
    patience: evaluations without improvement after which to end.

  Returns:
    The Standing, or None where no row has the metric yet.
  """
  history = [
    (row["step"], float(np.mean(row[metric]))) for row in rows if metric in row
  ]
  if not history:
    return None
  sign = 1 if mode == "min" else -1
  values = np.array([sign * value for _, value in history])
  values[np.isnan(values)] = np.inf  # never the best
  best = int(np.argmin(values))
  step, value = history[best]
  return Standing(step, value, len(history) - 1 - best >= patience)
