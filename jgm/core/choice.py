"""Chooses a function by the name that a config gives."""

import difflib
import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any


def choose(name: str, options: Mapping[str, Any] | ModuleType, *, what: str) -> Any:
  """The option of that name.

  Args:
    name: the name, from a config.
    options: the options by name; or a module, whose public functions they are, so that
      a new function there can be named in a config at once.
    what: what is chosen, for the message: "config.loss".

  Returns:
    The option.

  Raises:
    ValueError: if there is none of that name; it lists those that there are.
  """
  if isinstance(options, ModuleType):
    options = {
      key: value
      for key, value in vars(options).items()
      if inspect.isfunction(value)
      and value.__module__ == options.__name__
      and not key.startswith("_")
    }
  if name in options:
    return options[name]
  near = difflib.get_close_matches(name, options, n=1)
  hint = f" Did you mean {near[0]!r}?" if near else ""
  raise ValueError(f"{what}={name!r}: it is one of {', '.join(options)}.{hint}")
