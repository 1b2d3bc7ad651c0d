"""`python -m experiments.NAME`: reads the flags and does what `--mode` says."""

import os
import sys
import traceback
from collections.abc import Sequence

from jgm.cli.commands import run_command
from jgm.cli.console import print_error
from jgm.cli.errors import SHOW_TRACEBACK, UserError
from jgm.cli.flags import help_text, parse
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
  try:
    if {"--help", "-h"} & set(arguments):
      print(sys.modules[make.__module__].__doc__, help_text(make, arguments), sep="\n")
    else:
      run_command(parse(make, arguments), make)
  except FOR_THE_USER as error:
    if os.environ.get(SHOW_TRACEBACK):
      traceback.print_exc()
    print_error(error)
    sys.exit(1)
  except KeyboardInterrupt:
    print_error("interrupted; run the same command to go on from the last checkpoint")
    sys.exit(130)
