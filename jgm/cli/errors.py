"""What is the user's to mend: printed as one line, without a traceback."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
  """A message for a person at a terminal, which says what to do."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
  """' Did you mean "x"?' for the known word nearest to `word`, or ''.

  Args:
    word: what was written.
    known: what could have been written.

  Returns:
    The hint, with a leading space, to be added to a message.
  """
  nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
  return f' Did you mean "{nearest[0]}"?' if nearest else ""
