"""`python -m experiments.NAME`: reads the flags and does what `--mode` says."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import NoReturn

from jgm.cli.commands import run_command
from jgm.cli.console import print_error
from jgm.cli.errors import SHOW_TRACEBACK, UserError
from jgm.cli.flags import help_text, parse
from jgm.cli.processes import in_several
from jgm.cli.run import Make
from jgm.core.checkpoint import CheckpointError
from jgm.core.loop import NotFiniteError
from jgm.data import DatasetError

FOR_THE_USER = (UserError, CheckpointError, DatasetError, NotFiniteError)


def main(make: Make, arguments: Sequence[str] | None = None) -> None:
  """Runs an experiment from the command line, and exits with 1 on an error.

  Args:
    make: config -> Experiment. The experiment is named after the file it is written in.
    arguments: the command line; None takes the process's own.
  """
  arguments = sys.argv[1:] if arguments is None else list(arguments)
  with errors_told():
    if {"--help", "-h"} & set(arguments):
      print(sys.modules[make.__module__].__doc__, help_text(make, arguments), sep="\n")
    else:
      run_command(parse(make, arguments), make)


@contextlib.contextmanager
def errors_told() -> Iterator[None]:
  """Says an error of the user's in one line and exits with 1; with 130 on Ctrl-C."""
  try:
    yield
  except FOR_THE_USER as error:
    if os.environ.get(SHOW_TRACEBACK):
      traceback.print_exc()
    print_error(error)
    _exit(1)
  except KeyboardInterrupt:
    print_error("interrupted; run the same command to go on from the last checkpoint")
    _exit(130)
  except Exception:
    if not in_several():
      raise
    traceback.print_exc()  # before Python's own end would wait for the others
    print_error(
      "the other processes end too. Where this one did not fail by itself, another has "
      "died or cannot be reached: see what it said; run the same command to go on"
    )
    _exit(1)


def _exit(code: int) -> NoReturn:
  """Ends the process; at once where others wait for it, as they do in a collective."""
  if in_several():
    sys.stderr.flush()
    os._exit(code)
  sys.exit(code)
