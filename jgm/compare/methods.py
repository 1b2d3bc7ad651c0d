"""Which methods are compared, each as the command line that would train it alone."""

import importlib
from typing import Any, NamedTuple

from etils import epath
from ml_collections import ConfigDict

from jgm.cli.config import load_config
from jgm.cli.errors import UserError
from jgm.cli.flags import Options, parse
from jgm.cli.run import Make, make_experiment
from jgm.core.choice import did_you_mean
from jgm.core.experiment import Dataset
from jgm.data.spec import DataSpec, is_image


class Method(NamedTuple):
  """One of the methods."""

  name: str  # "ddpm", or with its preset "score_sde:ve"
  make: Make
  arguments: tuple[str, ...]  # of `python -m experiments.NAME`, but for the steps
  config: ConfigDict  # what these arguments say
  data: Dataset
  workdir: epath.Path

  def options(self, total_steps: int) -> Options:
    """The command line of a run of so many steps."""
    steps = f"--config.total_steps={total_steps}"
    return parse(self.make, [*self.arguments, steps])


def read_methods(config: ConfigDict, workdir: epath.Path) -> list[Method]:
  """The methods that a config names. Nothing is read or written.

  Args:
    config: `methods`, and what is the same for all of them; see configs/compare.py.
    workdir: each has a folder of its own in it.

  Returns:
    The methods, in their order.

  Raises:
    UserError: for a name, a preset or a change that is none (the nearest is named), or
      methods that are not all of one dataset, which can be drawn, and one seed.
  """
  if len(set(config.methods)) < max(1, len(config.methods)):
    raise UserError(f"config.methods={config.methods!r}: one or more, each once")
  for change in config.changes:
    name = change.split(".")[0]
    if name not in config.methods:
      hint = did_you_mean(name, config.methods)
      raise UserError(f"config.changes has {change!r}: {name!r} is no method.{hint}")
  methods = [_read(name, config, workdir) for name in config.methods]
  for other in methods[1:]:
    _check_same_data(methods[0], other)
  return methods


def _read(name: str, config: ConfigDict, workdir: epath.Path) -> Method:
  experiment, _, preset = name.partition(":")
  spec = f"configs/{experiment}.py" + f":{preset}" * bool(preset)
  load_config(spec)  # names the nearest, where there is none
  make = getattr(importlib.import_module(f"experiments.{experiment}"), "make", None)
  if make is None:
    raise UserError(f"config.methods has {name!r}, which trains nothing")
  folder = workdir / name.replace(":", "-")
  arguments = (f"--config={spec}", f"--workdir={folder}", *_settings(name, config))
  options = parse(make, arguments)
  own = load_config(options.config_spec, options.overrides)
  data = make_experiment(make, own).data
  why = "has no data" if data is None else _obstacle(data, own)
  if data is None or why:
    raise UserError(f"{name} cannot be compared: it {why}")
  return Method(name, make, arguments, own, data, folder)


def _obstacle(data: Dataset, config: ConfigDict) -> str | None:
  """Why it cannot be compared; None where it can."""
  if config.num_seeds != 1:
    return "would be several runs: one seed each"
  if not _can_be_drawn(data.spec):
    return f"is of {data.name}, neither images nor points in the plane"
  return None


def _can_be_drawn(spec: Any) -> bool:
  return isinstance(spec, DataSpec) and (is_image(spec.shape) or spec.shape == (2,))


def _settings(name: str, config: ConfigDict) -> list[str]:
  """What all have in common, and then what is changed for this one."""
  common = {f"eval.{key}": value for key, value in config.eval.items()}
  common["sample.chunk_size"] = config.sample.chunk_size
  said = [f"{key}={value}" for key, value in common.items() if value is not None]
  prefix = f"{name}."
  own = [c.removeprefix(prefix) for c in config.changes if c.startswith(prefix)]
  return [f"--config.{setting}" for setting in (*said, *own)]


def _check_same_data(first: Method, other: Method) -> None:
  if (other.data.name, other.data.spec) != (first.data.name, first.data.spec):
    raise UserError(
      f"{first.name} is of {first.data.name}, {other.name} of {other.data.name}: what "
      "is compared must be of the same data"
    )
