"""Values as they are written on a command line."""

import ast
from typing import Any


def parse_value(text: str, kind: type | None, like: Any = None) -> Any:
  """The value that a text says.

  Args:
    text: what stands behind the "=".
    kind: bool, int, float, str or tuple; None takes it as Python writes it, or else as
      text.
    like: what it stands in for: where this is None, "none" is None even for a text; and
      a tuple's items are of the types of its items, where it has any: whole numbers
      become floats where all of these are.

  Returns:
    The value.

  Raises:
    ValueError: if the text does not say a value of that kind.
  """
  if text.lower() == "none" and (like is None or kind is not str):
    return None
  if kind is None:
    return _literal_or_text(text)
  try:
    return _of_kind(text, kind, like)
  except (ValueError, KeyError, SyntaxError) as error:
    wanted = (
      f"such as {like!r}" if kind is tuple and like else f"of type {kind.__name__}"
    )
    raise ValueError(f"a value {wanted} is wanted") from error


def _of_kind(text: str, kind: type, like: Any) -> Any:
  if kind is bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
  if kind is tuple:
    value = ast.literal_eval(text)
    value = tuple(value) if isinstance(value, tuple | list) else (value,)
    wanted = {type(item) for item in like or ()}
    if wanted == {float}:
      value = tuple(float(item) if type(item) is int else item for item in value)
    if wanted and {type(item) for item in value} - wanted:
      raise ValueError(text)
    return value
  return kind(text)


def _literal_or_text(text: str) -> Any:
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return text
