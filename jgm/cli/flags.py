"""The flags of `python -m experiments.NAME`."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags
from etils import epath

from jgm.cli.conditions import Condition, conditions_of, read_conditions
from jgm.cli.config import load_config
from jgm.cli.errors import UserError
from jgm.cli.profile import parse_steps
from jgm.cli.run import Make, make_experiment, name_of
from jgm.core.choice import did_you_mean

PROCESSES = ("coordinator", "num_processes", "process_id")
MODES = ("train", "evaluate", "sample", "plan")
# What someone may have meant by a flag of sampling in another mode.
INSTEAD = {
  ("train", "seed"): "config.seed",
  ("train", "steps"): "config.total_steps",
  ("evaluate", "seed"): "config.eval.seed",
  ("evaluate", "num_samples"): "config.eval.num_samples",
}


class Options(NamedTuple):
  """What a command line says."""

  experiment: str
  config_spec: str
  overrides: tuple[str, ...]  # "x.y=value", as in --config.x.y=value
  workdir: epath.Path
  mode: str
  seed: int  # of --mode=sample
  num_samples: int
  conditions: dict[str, Any]  # keywords of the experiment's `sample`
  topology: str  # of --mode=plan; "" in the others
  price_per_chip_hour: float | None
  profile_steps: tuple[int, int] | None  # of --mode=train
  processes: tuple[str | None, int | None, int | None]  # of `start_processes`
  command: str


def parse(make: Make, arguments: Sequence[str]) -> Options:
  """Reads a command line.

  Args:
    make: the experiment's: its name is that of its file, and what its `sample` takes
      are flags too.
    arguments: what follows the program's name.

  Returns:
    The Options.

  Raises:
    UserError: for a flag that does not exist (the nearest right one is named) or that
      is none of its mode, or a value of the wrong type.
  """
  name = name_of(make)
  values, known = _read(make, arguments)
  mode, spec = values["mode"].value, values["config"].value
  given = {n: values[c.flag].value for n, c in known.items() if values[c.flag].present}
  if mode != "sample":
    _refuse_flags_of_sampling(values, known, mode)
  _check_flags_of_planning(values, mode)
  return Options(
    experiment=name,
    config_spec=spec,
    overrides=overrides_of(arguments),
    workdir=epath.Path(values["workdir"].value or default_workdir(name, spec)),
    mode=mode,
    seed=values["seed"].value,
    num_samples=values["num_samples"].value,
    conditions=read_conditions(known, given) if mode == "sample" else {},
    topology=values["topology"].value,
    price_per_chip_hour=values["price_per_chip_hour"].value,
    profile_steps=_profile_steps(values),
    processes=tuple(values[flag].value for flag in PROCESSES),
    command=shlex.join(["python", "-m", f"experiments.{name}", *arguments]),
  )


def help_text(make: Make, arguments: Sequence[str]) -> str:
  """The flags, those of the experiment's sampling among them, for `--help`."""
  return _read(make, arguments)[0].get_help(include_special_flags=False)


def default_workdir(experiment: str, config_spec: str) -> str:
  """`runs/NAME` or `runs/NAME-preset`."""
  preset = config_spec.partition(":")[2]
  return f"runs/{experiment}-{preset}" if preset else f"runs/{experiment}"


def overrides_of(arguments: Sequence[str]) -> tuple[str, ...]:
  """The "x.y=value" of each --config.x.y=value."""
  return tuple(a.split("config.", 1)[1] for a in arguments if is_override(a))


def is_override(argument: str) -> bool:
  """Whether it is a --config.x.y=value, which is none of absl's flags."""
  return argument.startswith(("--config.", "-config."))


def _read(make: Make, arguments: Sequence[str]):
  """The flags' values, and the conditions of sampling, whose flags are among them."""
  name = name_of(make)
  words = [name, *(a for a in arguments if not is_override(a))]
  values: Any = _define(name)
  known: dict[str, Condition] = {}
  try:
    values(words, known_only=True)  # which config: it makes the experiment
    config = load_config(values["config"].value, overrides_of(arguments))
    known = conditions_of(make_experiment(make, config).sample)
    _define_conditions(values, known)
    rest = values(words)
  except flags.UnrecognizedFlagError as error:
    raise UserError(_no_such_flag(error.flagname, values, known)) from error
  except flags.Error as error:
    raise UserError(str(error)) from error
  if rest[1:]:
    raise UserError(f"unexpected argument {rest[1]!r}: flags begin with --")
  return values, known


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
  flags.DEFINE_string("topology", "", 'Planning: "v5e:4x4", "cpu:8", "gpu".', **here)
  flags.DEFINE_float(
    "price_per_chip_hour", None, "Planning: to tell the cost.", lower_bound=0, **here
  )
  flags.DEFINE_string("profile_steps", "", "Training: trace FROM-TO.", **here)
  flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0.", **here)
  flags.DEFINE_integer("num_processes", None, "How many there are.", **here)
  flags.DEFINE_integer("process_id", None, "Which this is, from 0.", **here)
  flags.DEFINE_bool("help", False, "Show this.", short_name="h", **here)
  return values


def _define_conditions(values: flags.FlagValues, known: Mapping[str, Condition]):
  for name, condition in known.items():
    flags.DEFINE_string(condition.flag, None, condition.help, flag_values=values)
    if name != condition.flag:
      flags.DEFINE_alias(name, condition.flag, flag_values=values)


def _refuse_flags_of_sampling(
  values: Any, known: Mapping[str, Condition], mode: str
) -> None:
  for flag in ("seed", "num_samples", *(c.flag for c in known.values())):
    if values[flag].present:
      instead = INSTEAD.get((mode, flag))
      hint = f"; did you mean --{instead}?" if instead else ""
      raise UserError(f"--{flag} is a flag of --mode=sample{hint}")


def _check_flags_of_planning(values: Any, mode: str) -> None:
  if mode == "plan" and not values["topology"].value:
    raise UserError("--mode=plan: for which devices? For example --topology=v5e:4x4")
  for flag in ("topology", "price_per_chip_hour"):
    if mode != "plan" and values[flag].present:
      raise UserError(f"--{flag} is a flag of --mode=plan")


def _profile_steps(values: Any) -> tuple[int, int] | None:
  flag = values["profile_steps"]
  if not flag.value:
    return None
  if values["mode"].value != "train":
    raise UserError("--profile_steps is a flag of --mode=train")
  return parse_steps(flag.value)


def _no_such_flag(flag: str, values: Any, known: Mapping[str, Condition]) -> str:
  names = [name for name in values if len(name) > 1]
  said = f"there is no flag --{flag}.{did_you_mean(flag, [*names, 'config.KEY'])}"
  if values["mode"].value != "sample" or not known:
    return said
  return f"{said} Samples can be asked for by " + ", ".join(
    f"--{condition.flag}" for condition in known.values()
  )
