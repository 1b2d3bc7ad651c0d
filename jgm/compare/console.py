"""The comparison at the terminal."""

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from jgm.cli.console import wide_console
from jgm.compare.table import Cell, Column, Table


def print_table(table: Table, console: Console | None = None) -> None:
  """Prints the table, what its numbers were measured with, and what failed.

  Args:
    table: the table.
    console: where to print; None is the standard output.
  """
  console = wide_console(console)
  shown = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
  shown.add_column("method")
  for column in table.columns:
    shown.add_column(_heading(column, table), justify="right")
  for row in table.rows:
    cells = (_words(cell, table) for cell in row.cells)
    shown.add_row(Text(row.name), *cells, style=None if row.is_method else "dim")
  for failure in table.failures:
    shown.add_row(Text(failure.name), Text("failed"), style="red")
  console.print()
  console.print(shown)
  for number, note in enumerate(table.notes, 1):
    console.print(Text(f"[{number}] {note}", style="dim"), soft_wrap=True)
  for failure in table.failures:
    words = f"{failure.name} failed: {failure.error}"
    console.print(Text(words, style="red"), soft_wrap=True)
  console.print()


def _heading(column: Column, table: Table) -> Text:
  return Text("\n".join([column.name + _mark(column.note, table), column.remark]))


def _words(cell: Cell, table: Table) -> Text:
  remark = f" {cell.remark}" if cell.remark else ""
  return Text(f"{cell.text}{remark}{_mark(cell.note, table)}")


def _mark(note: str, table: Table) -> str:
  return f" [{table.notes.index(note) + 1}]" if note else ""
