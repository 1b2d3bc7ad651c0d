"""The same budget for all: so many examples seen, or so many seconds of training."""

from ml_collections import ConfigDict

from jgm.cli.console import format_time
from jgm.cli.errors import UserError
from jgm.cli.waiting import waiting
from jgm.compare.methods import Method
from jgm.compare.timing import measure_pace, time_file
from jgm.eval.results import format_number

KINDS = ("seconds", "examples")


def check_budget(budget: ConfigDict) -> None:
  """Raises where a budget is none.

  Args:
    budget: `kind`, one of `KINDS`, and the `amount` of it.

  Raises:
    UserError: where it is of another kind, or of nothing.
  """
  if budget.kind not in KINDS:
    raise UserError(
      f"config.budget.kind={budget.kind!r}: it is one of {', '.join(KINDS)}"
    )
  if not budget.amount > 0:
    raise UserError(f"config.budget.amount={budget.amount}: it is above 0")


def steps_of(budget: ConfigDict, method: Method) -> int:
  """How many steps of a method a budget is.

  Examples are counted as often as they are seen, in all the slices of a batch. Seconds
  are those of training alone: what compiles, saves or evaluates is not counted.

  Args:
    budget: see `check_budget`.
    method: which one. For a budget in seconds its step is timed once, and what it takes
      is kept in its folder.

  Returns:
    The steps, at least 1.
  """
  if budget.kind == "examples":
    return max(1, int(budget.amount) // method.data.batch_size)
  file = time_file(method)
  pace = file.seconds_per_step
  if pace is None:
    with waiting(f"{method.name}: timing a step"):
      pace = measure_pace(method)
    file.set_pace(pace)
  return max(1, int(budget.amount / pace))


def words_of(budget: ConfigDict) -> str:
  """The budget as a person writes it: "40 s of training each"."""
  if budget.kind == "examples":
    return f"{format_number(int(budget.amount))} examples each"
  if budget.amount < 120:
    return f"{format_number(budget.amount)} s of training each"
  return f"{format_time(budget.amount)} of training each"
