"""Says that something goes on which cannot say how far it is."""

import contextlib
import threading
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from jgm.cli.console import format_time, is_interactive, make_console, print_message


@contextlib.contextmanager
def waiting(
  what: str, *, every: float = 30.0, console: Console | None = None
) -> Iterator[None]:
  """Shows `what` and for how long, while the context lasts.

  Args:
    what: "compiling for v5e:4x4".
    every: seconds between the lines that are printed where there is no terminal.
    console: where to print; None is the standard output.
  """
  console, start = console or make_console(), time.monotonic()
  if is_interactive(console):
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
      progress.add_task(what, total=None)
      yield
    return
  ended = threading.Event()

  def tell() -> None:
    print_message(what, console=console)
    while not ended.wait(every):
      print_message(f"{what}, {format_time(time.monotonic() - start)}", console=console)

  thread = threading.Thread(target=tell, daemon=True)
  thread.start()
  try:
    yield
  finally:
    ended.set()
    thread.join()
