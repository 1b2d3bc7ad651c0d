"""Reads a config from its file, applies `--config.x.y=value`, and compares two of them.

ml_collections' own flags are not used: they read `sys.argv` while they are defined, and
answer a misspelt key with a traceback.
"""

import importlib.util
import pathlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from jgm.cli.errors import UserError
from jgm.cli.values import parse_value
from jgm.core.choice import did_you_mean

ROOT = pathlib.Path(__file__).parents[2]
# What may differ between a run and its continuation.
MAY_CHANGE = (
  "total_steps",
  "parallel",
  "log",
  "checkpoint",
  "eval",
  "sample",
  "samplers",
  "stop",
)


def load_config(spec: str, overrides: Sequence[str] = ()) -> ConfigDict:
  """The config named on a command line.

  Args:
    spec: "configs/ddpm.py" or "configs/ddpm.py:preset"; relative to the working
      directory, or else to the folder that holds jgm.
    overrides: "x.y=value", as in `--config.x.y=value`.

  Returns:
    The config, locked.

  Raises:
    UserError: for a missing file, an unknown preset or key (the nearest right one is
      named), or a value of the wrong type.
  """
  path, _, preset = spec.partition(":")
  module = _load_module(path)
  if not hasattr(module, "get_config"):
    raise UserError(f"{path} is no experiment's config: it has no get_config")
  try:
    config = module.get_config(preset)
  except ValueError as error:
    raise UserError(f"{path}: {error}") from error
  for override in overrides:
    apply_override(config, override)
  return config


def restore_config(
  spec: str, stored: Mapping[str, Any], overrides: Sequence[str] = ()
) -> ConfigDict:
  """The config of a run that exists.

  Args:
    spec: its config's file and preset.
    stored: its values, as config.json has them.
    overrides: "x.y=value"; only what may change between a run and its continuation.

  Returns:
    The config, locked.

  Raises:
    UserError: for an override that would make it another run, or a stored key that
      this version of the config does not have.
  """
  config = load_config(spec)  # where the stored one lacks a newer key: its default
  for key, value in flatten(stored).items():
    *parents, name = key.split(".")
    section = config
    for parent in parents:
      section = _child(config, section, key, parent)
    _child(config, section, key, name)
    section[name] = value
  as_it_was = config.to_dict()
  for override in overrides:
    apply_override(config, override)
  if differing := differing_keys(as_it_was, config.to_dict()):
    raise UserError("the run that is there differs:\n  " + "\n  ".join(differing))
  return config


def flatten(config: ConfigDict | Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """{"x.y": value} for every value of a config, with lists as tuples."""
  flat: dict[str, Any] = {}
  for key, value in config.items():
    if isinstance(value, ConfigDict | Mapping):
      flat |= flatten(value, f"{prefix}{key}.")
    else:
      flat[prefix + key] = tuple(value) if isinstance(value, list) else value
  return flat


def differing_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Where two runs' configs differ in what decides their numbers.

  Args:
    old: a nested dict, as in config.json.
    new: likewise.

  Returns:
    Lines such as "model.channels: 32 there, 64 here".
  """
  old, new = flatten(old), flatten(new)
  absent = "absent"
  return [
    f"{key}: {old.get(key, absent)!r} there, {new.get(key, absent)!r} here"
    for key in sorted(old.keys() | new.keys())
    if key.split(".")[0] not in MAY_CHANGE
    and old.get(key, absent) != new.get(key, absent)
  ]


def _load_module(path: str) -> ModuleType:
  for file in (pathlib.Path(path), ROOT / path):
    if file.is_file():
      spec = importlib.util.spec_from_file_location(f"config_{file.stem}", file)
      assert spec is not None and spec.loader is not None
      module = importlib.util.module_from_spec(spec)
      spec.loader.exec_module(module)
      return module
  names = {file.name for file in (ROOT / "configs").glob("[!_]*.py")} - {"base.py"}
  known = [f"configs/{name}" for name in names]
  raise UserError(f"there is no config {path}.{did_you_mean(path, known)}")


def apply_override(config: ConfigDict, override: str) -> None:
  """Sets one value of a config, as `--config.x.y=value` does.

  Args:
    config: the config, changed in place.
    override: "x.y=value".

  Raises:
    UserError: for an unknown key (the nearest right one is named), a section, a missing
      value or one of the wrong type.
  """
  key, equals, text = override.partition("=")
  if not equals:
    raise UserError(f"--config.{override} has no value: write --config.{key}=VALUE")
  *parents, name = key.split(".")
  section = config
  for parent in parents:
    section = _child(config, section, key, parent)
    if not isinstance(section, ConfigDict):
      raise UserError(f"--config.{key}: {parent} is a value, not a section")
  if isinstance(_child(config, section, key, name), ConfigDict):
    inside = ", ".join(f"{key}.{child}" for child in section[name])
    raise UserError(f"--config.{key} is a section: set one of {inside}")
  try:
    section[name] = parse_value(text, section.get_type(name), section[name])
  except ValueError as error:
    raise UserError(f"--config.{key}={text}: {error}") from error


def _child(config: ConfigDict, section: ConfigDict, key: str, name: str) -> Any:
  if name not in section:
    hint = did_you_mean(key, flatten(config))
    raise UserError(f"there is no config key {key!r}.{hint}")
  return section[name]
