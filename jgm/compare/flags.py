"""The flags of `python -m experiments.compare`."""

import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

from absl import flags
from etils import epath

from jgm.cli.errors import UserError
from jgm.cli.flags import default_workdir, is_override, overrides_of
from jgm.core.choice import did_you_mean


class Options(NamedTuple):
  """What a command line says."""

  config_spec: str
  overrides: tuple[str, ...]  # "x.y=value", as in --config.x.y=value
  workdir: epath.Path
  command: str


def parse(arguments: Sequence[str]) -> Options:
  """Reads a command line.

  Args:
    arguments: what follows the program's name.

  Returns:
    The Options.

  Raises:
    UserError: for a flag that does not exist; the nearest right one is named.
  """
  values: Any = _define()
  try:
    rest = values(["compare", *(a for a in arguments if not is_override(a))])
  except flags.UnrecognizedFlagError as error:
    hint = did_you_mean(error.flagname, ["config", "workdir", "config.KEY"])
    raise UserError(f"there is no flag --{error.flagname}.{hint}") from error
  except flags.Error as error:
    raise UserError(str(error)) from error
  if rest[1:]:
    raise UserError(f"unexpected argument {rest[1]!r}: flags begin with --")
  spec = values["config"].value
  return Options(
    config_spec=spec,
    overrides=overrides_of(arguments),
    workdir=epath.Path(values["workdir"].value or default_workdir("compare", spec)),
    command=shlex.join(["python", "-m", "experiments.compare", *arguments]),
  )


def help_text() -> str:
  """The flags, for `--help`."""
  return _define().get_help(include_special_flags=False)


def _define() -> flags.FlagValues:
  values = flags.FlagValues()  # not the global ones, so that main can be called twice
  here: dict[str, Any] = {"flag_values": values}
  flags.DEFINE_string(
    "config", "configs/compare.py", "FILE[:PRESET]; --config.x.y=VALUE.", **here
  )
  flags.DEFINE_string("workdir", None, "The folder (runs/compare[-PRESET]).", **here)
  flags.DEFINE_bool("help", False, "Show this.", short_name="h", **here)
  return values
