"""Early stopping, computed again from the logged rows each time: it has no state."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jgm.cli.errors import UserError


class Standing(NamedTuple):
  """Where a run stands by the metric that may stop it."""

  best_step: int
  best_value: float
  is_over: bool  # no improvement for `patience` evaluations


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

  Raises:
    UserError: if `mode` is neither.
  """
  if mode not in ("min", "max"):
    raise UserError(f'config.stop.mode is "min" or "max", not {mode!r}')
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
