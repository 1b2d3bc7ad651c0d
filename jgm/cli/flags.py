"""The flags of `python -m experiments.NAME`."""

import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

from absl import flags
from etils import epath

from jgm.cli.errors import UserError, did_you_mean

MODES = ("train", "evaluate", "sample")


class Options(NamedTuple):
  """What a command line says."""

  experiment: str
  config_spec: str
  overrides: tuple[str, ...]  # "x.y=value", as in --config.x.y=value
  workdir: epath.Path
  mode: str
  seed: int  # of --mode=sample
  num_samples: int
  conditions: dict[str, int | str]  # keywords of the experiment's `sample`
  command: str


def parse(experiment: str, arguments: Sequence[str]) -> Options:
  """Reads a command line.

  Args:
    experiment: the name of the file in experiments/.
    arguments: what follows the program's name.

  Returns:
    The Options.

  Raises:
    UserError: for a flag that does not exist (the nearest right one is named), or a
      value of the wrong type.
  """
  overrides = [a.split("config.", 1)[1] for a in arguments if _is_override(a)]
  values: Any = _define(experiment)
  try:
    rest = values([experiment, *(a for a in arguments if not _is_override(a))])
  except flags.UnrecognizedFlagError as error:
    hint = did_you_mean(error.flagname, [*_names(values), "config.KEY"])
    raise UserError(f"there is no flag --{error.flagname}.{hint}") from error
  except flags.Error as error:
    raise UserError(str(error)) from error
  if rest[1:]:
    raise UserError(f"unexpected argument {rest[1]!r}: flags begin with --")
  spec = values["config"].value
  conditions = {
    "sampler": values["sampler"].value,
    "num_steps": values["steps"].value,
    "class_label": values["class_label"].value,
  }
  return Options(
    experiment=experiment,
    config_spec=spec,
    overrides=tuple(overrides),
    workdir=epath.Path(values["workdir"].value or default_workdir(experiment, spec)),
    mode=values["mode"].value,
    seed=values["seed"].value,
    num_samples=values["num_samples"].value,
    conditions={name: value for name, value in conditions.items() if value is not None},
    command=shlex.join(["python", "-m", f"experiments.{experiment}", *arguments]),
  )


def default_workdir(experiment: str, config_spec: str) -> str:
  """`runs/NAME` or `runs/NAME-preset`."""
  preset = config_spec.partition(":")[2]
  return f"runs/{experiment}-{preset}" if preset else f"runs/{experiment}"


def _define(experiment: str) -> flags.FlagValues:
  values = flags.FlagValues()  # not the global ones, so that main can be called twice
  here: dict[str, Any] = {"flag_values": values}
  flags.DEFINE_string(
    "config", f"configs/{experiment}.py", "FILE[:PRESET]; --config.x.y=VALUE.", **here
  )
  flags.DEFINE_string("workdir", None, "The run folder (runs/NAME[-PRESET]).", **here)
  flags.DEFINE_enum("mode", "train", MODES, "What to do.", **here)
  flags.DEFINE_integer("seed", 0, "Sampling: the seed.", **here)
  flags.DEFINE_integer("num_samples", 64, "Sampling: how many.", lower_bound=1, **here)
  flags.DEFINE_string("sampler", None, "Sampling: which sampler.", **here)
  flags.DEFINE_integer("steps", None, "Sampling: steps.", lower_bound=1, **here)
  flags.DEFINE_integer("class_label", None, "Sampling: the class.", **here)
  flags.DEFINE_bool("help", False, "Show this.", short_name="h", **here)
  return values


def help_text(experiment: str) -> str:
  """The flags, for `--help`."""
  return _define(experiment).get_help()


def _names(values: flags.FlagValues) -> list[str]:
  return [name for name in values if len(name) > 1]


def _is_override(argument: str) -> bool:
  return argument.startswith(("--config.", "-config."))
