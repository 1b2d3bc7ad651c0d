"""What a run says at the terminal: a bar or plain lines, results, errors."""

import collections
import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from rich.console import Console, ConsoleRenderable
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.table import Table
from rich.text import Text

from jgm.core.experiment import Evaluation, Scalar
from jgm.eval.results import Result, format_number, format_spread, results

_WIDEST = 78  # a line that fits any terminal needs no rewrapping when it is resized
_MOST_LINES = 60  # of a text, at the terminal
_WINDOW = 30.0  # s of recent training from which the speed is told


def make_console(file: IO[str] | None = None, **options: Any) -> Console:
  """A rich console that never colours a number or a path on its own."""
  file = file or sys.stdout
  if isinstance(file, io.TextIOWrapper):
    file.reconfigure(errors="replace")  # an ASCII pipe gets "?" for "±", not a crash
  return Console(file=file, highlight=False, **options)


def wide_console(console: Console | None = None) -> Console:
  """A console for a table; a pipe has no width, and rich would cut it to 80 columns."""
  console = console or make_console()
  return console if console.file.isatty() else make_console(console.file, width=160)


class Speed:
  """Steps per second over the last half minute, compilation and pauses left out."""

  def __init__(self, clock: Callable[[], float] = time.monotonic):
    self._clock = clock
    self._paused = 0.0
    self._marks: collections.deque[tuple[float, int]] = collections.deque()

  def mark(self, step: int) -> None:
    """Notes that `step` steps are done. The first call ends the compilation."""
    now = self._clock() - self._paused
    self._marks.append((now, step))
    while len(self._marks) > 2 and now - self._marks[1][0] > _WINDOW:
      self._marks.popleft()

  @contextlib.contextmanager
  def pause(self) -> Iterator[None]:
    """Leaves out the time in this context: an evaluation, a save."""
    start = self._clock()
    try:
      yield
    finally:
      self._paused += self._clock() - start

  @property
  def steps_per_second(self) -> float | None:
    """The speed; None until two calls have ended."""
    if len(self._marks) < 2:
      return None
    (start, first), (end, last) = self._marks[0], self._marks[-1]
    return (last - first) / (end - start) if end > start else None


class _Line(Live):
  """A line that is drawn in place, and still in place where the terminal narrows.

  A narrowed terminal breaks the line it shows into several rows, of which rich would
  clear only the last.
  """

  def __init__(self, console: Console, render: Callable[[], Text]):
    super().__init__(
      console=console,
      get_renderable=render,
      refresh_per_second=4,
      vertical_overflow="crop",
    )
    self._drawn = 0  # the length of the line that is on the screen

  def process_renderables(
    self, renderables: list[ConsoleRenderable]
  ) -> list[ConsoleRenderable]:
    """Clears the rows that rich does not know of, then draws as rich does."""
    extra_rows = max(self._drawn - 1, 0) // self.console.width
    up = Control((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))
    line = self.get_renderable()
    self._drawn = line.cell_len if isinstance(line, Text) else 0
    return [up] * extra_rows + super().process_renderables(renderables)


class Progress:
  """A run's progress: a bar where there is a terminal, plain lines where there is none.

  Use it as `with Progress(total, start) as progress: progress.update(step, metrics)`.
  """

  def __init__(
    self,
    total: int,
    start: int = 0,
    *,
    console: Console | None = None,
    interactive: bool | None = None,
    clock: Callable[[], float] = time.monotonic,
  ):
    """Prepares the bar; it is drawn once the context is entered.

    Args:
      total: the step at which the run ends.
      start: the step from which it goes on.
      console: where to print; None is the standard output.
      interactive: whether to draw a bar; None asks the console's file.
      clock: seconds, for tests.
    """
    self.total, self.step = total, start
    self.speed = Speed(clock)
    self._console = console or make_console()
    self._doing = "compiling"
    self._longest = 40
    self._metrics: Mapping[str, Any] = {}
    bar = is_interactive(self._console) if interactive is None else interactive
    self._live = _Line(self._console, self._render) if bar else None

  def update(self, step: int, metrics: Mapping[str, Any] | None = None) -> None:
    """Notes that `step` steps are done; with metrics, also shows their losses.

    Args:
      step: steps done in all.
      metrics: name -> number or list over seeds. Where there is no terminal, a line is
        printed if and only if these are given, so give them at the logged steps.
    """
    self.step, self._doing = step, ""
    self.speed.mark(step)
    if metrics is not None:
      self._metrics = metrics
      if self._live is None:
        self._print(self._line())

  @contextlib.contextmanager
  def doing(self, what: str) -> Iterator[None]:
    """Says what is done beside training ("evaluating", "saving"), off the clock."""
    before, self._doing = self._doing, what
    try:
      with self.speed.pause():
        yield
    finally:
      self._doing = before

  def message(self, text: str) -> None:
    """Prints a line above the bar: "resuming from step 800"."""
    self._print(text)

  @property
  def steps_per_second(self) -> float | None:
    """The recent speed; None until two calls have ended."""
    return self.speed.steps_per_second

  @property
  def seconds_left(self) -> float | None:
    """How long the rest takes at the recent speed; None while that is unknown."""
    speed = self.steps_per_second
    return (self.total - self.step) / speed if speed else None

  def __enter__(self) -> Self:
    if self._live is not None:
      self._live.start()
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
  ) -> None:
    if self._live is not None:
      self._live.stop()

  def _print(self, text: str) -> None:
    self._console.print(Text(text), soft_wrap=True)

  def _parts(self) -> list[str]:
    parts = [f"{name} {_show(value)}" for name, value in _losses(self._metrics)]
    if self.steps_per_second is not None:
      parts.append(f"{_rate(self.steps_per_second)} steps/s")
    if self._doing:
      parts.append(self._doing)
    elif self.seconds_left is not None and self.step < self.total:
      parts.append(f"{format_time(self.seconds_left)} left")
    return parts

  def _line(self) -> str:
    return "  ".join([f"step {self.step}/{self.total}", *self._parts()])

  def _render(self) -> Text:
    # Short of the last column: there some terminals would already break the line.
    width = min(self._console.width - 1, _WIDEST)
    words = f" {self.step:,}/{self.total:,}  " + "  ".join(self._parts())
    # The bar gives way to longer words but does not grow back: it would tremble.
    self._longest = max(self._longest, len(words))
    words = words.ljust(self._longest)
    room = width - len(words)
    text = _bar(self.step / max(self.total, 1), room) if room >= 8 else Text()
    text.append(words if room >= 8 else words.strip())
    text.rstrip()
    text.truncate(width, overflow="ellipsis")
    text.no_wrap = True
    return text


def is_interactive(console: Console) -> bool:
  """Whether a bar can be drawn: on a true terminal, not in a pipe or in CI."""
  isatty = getattr(console.file, "isatty", lambda: False)()
  return isatty and not console.is_dumb_terminal and "CI" not in os.environ


def print_results(
  scalars: Mapping[str, Scalar] | Sequence[Mapping[str, Scalar]],
  *,
  where: Mapping[str, Any] | None = None,
  console: Console | None = None,
) -> None:
  """Prints the table of results, what each was measured with, and where to look.

  Args:
    scalars: name -> Scalar, or a sequence of these, one for each seed.
    where: what -> path, such as {"report": ..., "samples": ...}.
    console: where to print; None is the standard output.
  """
  console = wide_console(console)
  rows = results(scalars)
  if rows:
    _print_table(rows, console)
  for what, path in (where or {}).items():
    console.print(Text(f"{what + ':':<9} {path}"), soft_wrap=True)


def _print_table(rows: Sequence[Result], console: Console) -> None:
  notes = list(dict.fromkeys(row.note for row in rows if row.note))
  table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
  table.add_column("quantity")
  for name in ("value", "floor", "ceiling"):
    table.add_column(name, justify="right", no_wrap=True)
  table.add_column("better")
  if notes:
    table.add_column("note")
  for row in rows:
    mark = [f"[{notes.index(row.note) + 1}]"] if row.note else []
    cells = [row.name, row.value, row.floor, row.ceiling, row.better, *mark]
    table.add_row(*(Text(cell) for cell in cells))
  console.print()
  console.print(table)
  for number, note in enumerate(notes, 1):
    console.print(Text(f"[{number}] {note}", style="dim"), soft_wrap=True)
  console.print()


def print_message(text: str, *, console: Console | None = None) -> None:
  """Prints one line, whatever is in it: no markup, no breaking."""
  (console or make_console()).print(Text(text), soft_wrap=True)


def print_warnings(evaluations: Sequence[Evaluation]) -> None:
  """Prints what evaluations warn of, each warning once."""
  for warning in dict.fromkeys(w for each in evaluations for w in each.warnings):
    print_message(f"warning: {warning}")


def print_texts(
  evaluations: Sequence[Evaluation], *, console: Console | None = None
) -> None:
  """Prints the texts of the first evaluation, each under its caption."""
  for evaluation in evaluations[:1]:
    for caption, text in evaluation.texts.items():
      print_text(caption, text, console=console)


def print_text(caption: str, text: str, *, console: Console | None = None) -> None:
  """Prints a text under its caption, in its own lines; of a long one, the beginning."""
  console = console or make_console()
  lines = text.splitlines()
  console.print()
  console.print(Text(caption, style="bold"), soft_wrap=True)
  console.print(Text("\n".join(lines[:_MOST_LINES])), soft_wrap=True)
  if len(lines) > _MOST_LINES:
    more = f"({len(lines) - _MOST_LINES} more lines in samples/)"
    console.print(Text(more, style="dim"), soft_wrap=True)


def print_error(error: object) -> None:
  """Prints "error: ..." on the standard error, without a traceback."""
  text = Text.assemble(("error: ", "bold red"), str(error))
  make_console(sys.stderr).print(text, soft_wrap=True)


def format_time(seconds: float) -> str:
  """A time as "0:59", "12:05", "3:04:05", or from two days on as "2 d 5 h"."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours >= 48:
    return f"{hours // 24} d {hours % 24} h"
  if hours:
    return f"{hours}:{minutes:02}:{seconds:02}"
  return f"{minutes}:{seconds:02}"


def _losses(metrics: Mapping[str, Any]) -> list[tuple[str, Any]]:
  numbers = {k: v for k, v in metrics.items() if k != "step" and k[:5] != "time/"}
  named = [(k, v) for k, v in numbers.items() if k.split("/")[-1] == "loss"]
  return (named or list(numbers.items()))[:3]


def _show(value: Any) -> str:
  values = np.ravel(np.asarray(value, np.float64))
  if len(values) == 1:
    return _short(values[0])
  return f"{_short(values.mean())} ± {format_spread(float(values.std(ddof=1)))}"


def _short(x: float) -> str:
  # Of a steady width, or the line would tremble at each update.
  return f"{x:.4f}" if 1e-3 <= abs(x) < 1e3 or x == 0 else f"{x:.3e}"


def _rate(x: float) -> str:
  return f"{x:.1f}" if x >= 1 else format_number(x)


def _bar(share: float, width: int) -> Text:
  done = round(min(1.0, share) * width)
  return Text("━" * done, style="green").append("─" * (width - done), style="dim")
