"""What samples can be asked for: the keywords of an experiment's `sample`, as flags."""

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jgm.cli.errors import UserError
from jgm.cli.values import parse_value

KINDS = (bool, int, float, str, tuple)
FLAGS = {"num_steps": "steps"}  # where a flag has a shorter name than its keyword


class Condition(NamedTuple):
  """A keyword of `sample`."""

  flag: str  # --FLAG=VALUE
  kind: type | None  # one of KINDS; None where neither default nor annotation tells
  default: Any  # `inspect.Parameter.empty` where it must be given

  @property
  def help(self) -> str:
    """What `--help` says of the flag."""
    if self.default is inspect.Parameter.empty:
      return "Sampling: must be given."
    return f"Sampling: by default {self.default}."


def conditions_of(sample: Callable[..., Any] | None) -> dict[str, Condition]:
  """The conditions that an experiment's `sample` takes.

  Args:
    sample: (state, key, n, *, **conditions) -> samples; None takes none.

  Returns:
    keyword -> Condition.
  """
  if sample is None:
    return {}
  return {
    name: Condition(FLAGS.get(name, name), _kind(parameter), parameter.default)
    for name, parameter in inspect.signature(sample).parameters.items()
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY
  }


def read_conditions(
  known: Mapping[str, Condition], given: Mapping[str, str]
) -> dict[str, Any]:
  """The keywords to call `sample` with.

  Args:
    known: what it takes.
    given: keyword -> the text behind the flag's "=".

  Returns:
    keyword -> value, for those that were given.

  Raises:
    UserError: for a value of the wrong type, or where one that must be given is not.
  """
  for name, condition in known.items():
    if condition.default is inspect.Parameter.empty and name not in given:
      raise UserError(f"--{condition.flag}=VALUE must be given")
  return {name: _read(known[name], text) for name, text in given.items()}


def _read(condition: Condition, text: str) -> Any:
  must_be_given = condition.default is inspect.Parameter.empty
  like = None if must_be_given else condition.default
  try:
    return parse_value(text, condition.kind, like)
  except ValueError as error:
    raise UserError(f"--{condition.flag}={text}: {error}") from error


def _kind(parameter: inspect.Parameter) -> type | None:
  if parameter.default not in (None, parameter.empty):
    return type(parameter.default)
  annotation = parameter.annotation  # `int`, or `int | None`
  kinds = [kind for kind in (annotation, *typing.get_args(annotation)) if kind in KINDS]
  return kinds[0] if kinds else None
