"""Chooses by name, and names the nearest where there is none of that name."""

import difflib
import inspect
from collections.abc import Iterable, Mapping
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
  hint = did_you_mean(name, options)
  raise ValueError(f"{what}={name!r}: it is one of {', '.join(options)}.{hint}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
  """ " Did you mean 'x'?" for the known word nearest to `word`, or "".

  Args:
    word: what was written.
    known: what could have been written.

  Returns:
    The hint, with a leading space, to be added to a message.
  """
  near = nearest(word, known)
  return "" if near is None else f" Did you mean {near!r}?"


def nearest(word: str, known: Iterable[str]) -> str | None:
  """The word of `known` that looks most like `word`; None where none is like it.

  Args:
    word: what was written.
    known: what could have been written, in any order.

  Returns:
    The word.
  """
  near = difflib.get_close_matches(word, sorted(known), n=1)
  return near[0] if near else None
