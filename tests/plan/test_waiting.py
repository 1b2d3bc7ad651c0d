import io
import time

import pytest

from jgm.cli.console import make_console
from jgm.cli.waiting import waiting


def test_where_there_is_no_terminal_a_line_now_and_then():
  file = io.StringIO()
  with waiting("compiling", every=0.02, console=make_console(file)):
    time.sleep(0.2)
  first, second, *_ = file.getvalue().splitlines()
  assert first == "compiling" and second == "compiling, 0:00"


def test_it_ends_with_an_error():
  file = io.StringIO()
  with (
    pytest.raises(ValueError),
    waiting("compiling", every=0.02, console=make_console(file)),
  ):
    raise ValueError
  said = file.getvalue()
  time.sleep(0.1)
  assert file.getvalue() == said
