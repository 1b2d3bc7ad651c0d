"""What is the user's to mend: printed as one line, without a traceback."""

import contextlib
from collections.abc import Iterator

SHOW_TRACEBACK = "JGM_TRACEBACK"  # an environment variable


class UserError(Exception):
  """A message for a person at a terminal, which says what to do."""


@contextlib.contextmanager
def for_the_user(*errors: type[Exception], doing: str | None = None) -> Iterator[None]:
  """Makes errors that a wrong value causes the user's to mend.

  Args:
    *errors: which; the others pass as they are.
    doing: what is done, where the error may as well be in the code of the experiment:
      the message then says this, and how to see where it comes from.

  Raises:
    UserError: in their place.
  """
  try:
    yield
  except errors as error:
    said = str(error)
    if doing is not None:
      said = f"{doing}: {said} ({SHOW_TRACEBACK}=1 shows where)"
    raise UserError(said) from error
