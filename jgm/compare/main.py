"""`python -m experiments.compare`: trains each method, measures all, and shows them."""

import os
import sys
import traceback
from collections.abc import Sequence

from ml_collections import ConfigDict

from jgm.cli.config import load_config
from jgm.cli.console import print_error, print_message
from jgm.cli.errors import SHOW_TRACEBACK, UserError
from jgm.cli.main import FOR_THE_USER, errors_told
from jgm.cli.run_folder import RunFolder, open_run_folder
from jgm.cli.train import Interrupted
from jgm.compare.budget import check_budget, steps_of
from jgm.compare.entry import Entry, Failure, check_measured_alike, enter
from jgm.compare.flags import Options, help_text, parse
from jgm.compare.methods import Method, read_methods
from jgm.compare.publish import publish
from jgm.xla import configure_jax


def main(docstring: str, arguments: Sequence[str] | None = None) -> None:
  """Runs the comparison from the command line; exits with 1 on an error.

  Args:
    docstring: what `--help` and the page begin with.
    arguments: the command line; None takes the process's own.
  """
  arguments = sys.argv[1:] if arguments is None else list(arguments)
  with errors_told():
    if {"--help", "-h"} & set(arguments):
      print(docstring, help_text(), sep="\n")
    elif compare(parse(arguments), docstring):
      sys.exit(1)


def compare(options: Options, docstring: str) -> list[Failure]:
  """Trains and measures each method in turn, and publishes what was found.

  Args:
    options: the command line.
    docstring: what the page begins with.

  Returns:
    The methods that came to nothing; the others are shown.

  Raises:
    UserError: before anything is trained, where the config cannot be; Interrupted, of
      which it is the parent, where a signal came: run the same command to go on.
  """
  configure_jax()
  config = load_config(options.config_spec, options.overrides)
  folder = _folder(options, config)
  check_config(config)
  methods = read_methods(config, options.workdir)
  entries: list[Entry] = []
  failures: list[Failure] = []
  for number, method in enumerate(methods, 1):
    print_message(f"\n{method.name}, {number} of {len(methods)}: {method.workdir}")
    try:
      entry = _enter(config, method)
      check_measured_alike((entries or [entry])[0], entry, config.quantities)
      entries.append(entry)
    except Interrupted:
      raise
    except Exception as error:  # one method's; the others go on
      failures.append(_failure(method, error))
  publish(folder, docstring, config, methods[0].data, entries, failures)
  return failures


def check_config(config: ConfigDict) -> None:
  """Raises where there is nothing to compare by, before anything is trained."""
  check_budget(config.budget)
  if not config.quantities:
    raise UserError("config.quantities names one number or more")
  for name, value in (
    ("num_shown", config.num_shown),
    ("sample.chunk_size", config.sample.chunk_size),
  ):
    if value < 1:
      raise UserError(f"config.{name}={value}: it is at least 1")


def _enter(config: ConfigDict, method: Method) -> Entry:
  return enter(method, steps_of(config.budget, method), seed=config.eval.seed)


def _failure(method: Method, error: Exception) -> Failure:
  if os.environ.get(SHOW_TRACEBACK):
    traceback.print_exc()
  kind = "" if isinstance(error, FOR_THE_USER) else f"{type(error).__name__}: "
  failure = Failure(method.name, kind + " ".join(str(error).split()))
  print_error(f"{failure.name}: {failure.error}")
  return failure


def _folder(options: Options, config: ConfigDict) -> RunFolder:
  """Where it is written, with versions and device; the runs have folders in it."""
  return open_run_folder(
    options.workdir,
    experiment="compare",
    config_spec=options.config_spec,
    config=config,
    command=options.command,
  )
