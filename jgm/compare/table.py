"""The comparison as one table of words, for the terminal and for the page."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jgm.compare.entry import LIKELIHOODS, Entry, Failure
from jgm.core.experiment import Scalar
from jgm.eval.results import WORDS, format_number

LABELS = {"frechet_distance": "Fréchet distance"}
COSTS = ("parameters", "training", "processor", "1,000 samples", "evaluations")
UNITS = ("", "s", "s", "s", "a sample")
FLOOR, CEILING = "real data", "knows nothing"


class Column(NamedTuple):
  """A quantity."""

  name: str
  remark: str = ""  # which way is better, or the unit
  note: str = ""  # what it was measured with


class Cell(NamedTuple):
  """What stands in one place of the table."""

  text: str
  remark: str = ""  # which kind of number it is
  note: str = ""


class Row(NamedTuple):
  """The floor, a method, or the ceiling."""

  name: str
  cells: tuple[Cell, ...]  # one for each column
  is_method: bool = True


class Table(NamedTuple):
  """All of it."""

  columns: tuple[Column, ...]
  rows: tuple[Row, ...]  # the floor, the methods from the best on, the ceiling
  failures: tuple[Failure, ...]

  @property
  def notes(self) -> list[str]:
    """What the numbers were measured with, each once, in the order of reading."""
    cells = (cell for row in self.rows for cell in row.cells)
    notes = [*(column.note for column in self.columns), *(c.note for c in cells)]
    return list(dict.fromkeys(note for note in notes if note))


def make_table(
  entries: Sequence[Entry], failures: Sequence[Failure], quantities: Sequence[str]
) -> Table:
  """The table of what was measured.

  Args:
    entries: the methods, all measured alike.
    failures: those that came to nothing.
    quantities: names of scalars; the first decides the order of the rows.

  Returns:
    The Table: the floor, the methods from the best on, and the ceiling. Without entries
    it has no rows.
  """
  if not entries:
    return Table((), (), tuple(failures))
  ranked = ranking(entries, quantities[0])
  has_likelihood = any(entry.likelihood for entry in entries)
  measured = [entries[0].scalars[name] for name in quantities]
  columns = [*_quantity_columns(measured, quantities)]
  if has_likelihood:
    columns.append(Column(_unit_of(entries), WORDS["lower"]))
  columns += [Column(name, unit) for name, unit in zip(COSTS, UNITS, strict=True)]

  def row(entry: Entry) -> Row:
    cells = [Cell(format_number(entry.scalars[name].value)) for name in quantities]
    cells += [_likelihood_cell(entry)] * has_likelihood
    return Row(entry.name, (*cells, *_cost_cells(entry)))

  def bound(name: str, which: str) -> Row:
    numbers = [getattr(scalar, which) for scalar in measured]
    numbers += [_likelihood_bound(entries, which)] * has_likelihood
    cells = [Cell(format_number(x)) for x in numbers] + [Cell("")] * len(COSTS)
    return Row(name, tuple(cells), is_method=False)

  rows = (bound(FLOOR, "floor"), *map(row, ranked), bound(CEILING, "ceiling"))
  return Table(tuple(columns), rows, tuple(failures))


def ranking(entries: Sequence[Entry], quantity: str) -> list[Entry]:
  """The entries from the best to the worst by a quantity; one that is NaN is last."""

  def badness(entry: Entry) -> float:
    scalar = entry.scalars[quantity]
    worse = {"lower": scalar.value, "higher": -scalar.value}
    away = abs(scalar.value - (scalar.floor or 0.0))
    place = worse.get(scalar.better, away)
    return math.inf if math.isnan(place) else place

  return sorted(entries, key=badness)


def label_of(quantity: str) -> str:
  """A quantity's name as a person writes it."""
  return LABELS.get(quantity, quantity.replace("_", " "))


def _quantity_columns(
  scalars: Sequence[Scalar], names: Sequence[str]
) -> Iterator[Column]:
  for name, scalar in zip(names, scalars, strict=True):
    yield Column(label_of(name), WORDS[scalar.better], scalar.note)


def _unit_of(entries: Sequence[Entry]) -> str:
  names = [entry.likelihood[0] for entry in entries if entry.likelihood]
  return "bits/dim" if names[0].startswith("bits_per_dim") else "nats"


def _likelihood_cell(entry: Entry) -> Cell:
  if entry.likelihood is None:
    return Cell(format_number(None))
  name, scalar = entry.likelihood
  return Cell(format_number(scalar.value), LIKELIHOODS[name], scalar.note)


def _likelihood_bound(entries: Sequence[Entry], which: str) -> float | None:
  found = [getattr(e.likelihood[1], which) for e in entries if e.likelihood]
  return next((number for number in found if number is not None), None)


def _cost_cells(entry: Entry) -> Iterator[Cell]:
  costs = entry.costs
  yield Cell(format_number(costs.parameters))
  for seconds in (
    costs.training_seconds,
    costs.training_process_seconds,
    costs.seconds_per_1000_samples,
  ):
    yield Cell(format_seconds(seconds))
  yield Cell(format_number(costs.network_evaluations))


def format_seconds(seconds: float | None) -> str:
  """Seconds with three digits, whole ones from 100 on: more would not be so again."""
  if seconds is None or seconds == 0:
    return format_number(seconds)
  decimals = max(0, 2 - math.floor(math.log10(abs(seconds))))
  return f"{seconds:,.{decimals}f}"
