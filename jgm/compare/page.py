"""The comparison's page: one file of HTML that looks like a run's report."""

from collections.abc import Mapping, Sequence
from typing import Any

from jgm.cli.config import flatten
from jgm.compare.entry import Entry
from jgm.compare.table import Cell, Row, Table
from jgm.eval.page import (
  command_line,
  details,
  escape,
  facts_list,
  figure,
  fill_page,
  introduction_of,
  number,
  prose,
  warnings_box,
)
from jgm.eval.pictures import Picture

# Three sheets in a row of a page, fewer on a phone.
SHEETS = '<div class="panels" style="grid-template-columns:'
SHEETS += 'repeat(auto-fill,minmax(min(100%,13rem),1fr))">'
WORDS = """The first row is the floor, what real training data score against real
held-out data; the last the ceiling, what a model scores that knows nothing. Parameters
are all that is trained: of a game, the critic's too. Training is the seconds of its
steps, without what compiles, saves and evaluates; processor is the same of all cores
together. Samples are timed a chunk at a time, compiled before. Evaluations are those of
the network. One seed each: what differs by less than the floor's spread may be luck."""


def render_comparison(
  *,
  docstring: str,
  table: Table,
  sheets: Mapping[str, Picture],
  entries: Sequence[Entry],
  warnings: Sequence[str],
  run: Mapping[str, Any],
  facts: Mapping[str, Any],
) -> str:
  """The page: self-contained, without scripts and without the network.

  Args:
    docstring: of experiments/compare.py; the page begins with the head of it.
    table: the numbers.
    sheets: caption -> picture [H, W, 3].
    entries: the methods, in the order of the table; their commands are told.
    warnings: what a reader must know, each with the name of its method.
    run: `command`, `config` and `versions`, as a run's config.json has them.
    facts: what else is worth knowing.

  Returns:
    The page, the same for the same comparison.
  """
  heading, introduction = introduction_of(docstring, "compare")
  return fill_page(
    title="compare – jgm",
    kicker="compare",
    heading=heading,
    introduction=introduction,
    command=command_line(run["command"]),
    warnings=warnings_box(warnings),
    texts="",
    figures=_sheets(sheets, table),
    numbers=_numbers(table),
    curves=_methods(entries),
    facts=facts_list(facts),
    details=details(docstring, flatten(run["config"]), run["versions"]),
  )


def _sheets(sheets: Mapping[str, Picture], table: Table) -> str:
  figures = "\n".join(figure(name, sheet) for name, sheet in sheets.items())
  words = f"The first that were drawn. Beside each name: {table.columns[0].name}."
  return f"""<h2>Samples</h2>
{SHEETS}
{figures}
</div>
<p class="fine">{escape(words)}</p>"""


def _numbers(table: Table) -> str:
  head = "".join(
    f"<th>{escape(column.name)}{_mark(column.note, table)}"
    f"<small>{escape(column.remark)}</small></th>"
    for column in table.columns
  )
  body = "\n".join(_row(row, table) for row in table.rows)
  span = len(table.columns)
  failed = "\n".join(
    f"<tr><td><b>{escape(failure.name)}</b></td>"
    f'<td colspan="{span}" style="text-align:left;white-space:normal">failed: '
    f"{escape(failure.error)}</td></tr>"
    for failure in table.failures
  )
  notes = "".join(f"<li>{prose(note)}</li>" for note in table.notes)
  return f"""<h2>The numbers</h2>
<div class="scroll"><table style="font-size:.9rem">
<thead><tr><th>method</th>{head}</tr></thead>
<tbody>
{body}
{failed}
</tbody></table></div>
<p class="fine">{prose(WORDS)}</p>
<ol class="fine">{notes}</ol>"""


def _row(row: Row, table: Table) -> str:
  name = escape(row.name)
  cells = "".join(_cell(cell, table) for cell in row.cells)
  return f"<tr><td>{f'<b>{name}</b>' if row.is_method else name}</td>{cells}</tr>"


def _cell(cell: Cell, table: Table) -> str:
  remark = f"<small>{escape(cell.remark)}</small>" if cell.remark else ""
  return f"<td>{number(cell.text)}{_mark(cell.note, table)}{remark}</td>"


def _mark(note: str, table: Table) -> str:
  return f"<sup>{table.notes.index(note) + 1}</sup>" if note else ""


def _methods(entries: Sequence[Entry]) -> str:
  """What each method is, and the command that trains it alone."""
  told = "\n".join(
    f"<figure><figcaption><b>{escape(entry.name)}</b> "
    f"{prose(entry.title)}</figcaption>"
    f'<pre class="command">{command_line(entry.command)}</pre></figure>'
    for entry in entries
  )
  return f"<h2>The methods</h2>\n{told}" if entries else ""
