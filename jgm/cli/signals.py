"""Ctrl-C and SIGTERM ask a run to save and end; a second Ctrl-C ends it at once."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def catch_signals() -> Iterator[Callable[[], str | None]]:
  """Catches SIGINT and SIGTERM while it is entered.

  Yields:
    A function that returns the name of the signal that came, or None.
  """
  received: list[str] = []

  def on_signal(number, frame):
    if received:
      raise KeyboardInterrupt
    received.append(signal.Signals(number).name)

  if threading.current_thread() is not threading.main_thread():
    yield lambda: None  # Python lets only the main thread set handlers: a notebook's
    return
  numbers = (signal.SIGINT, signal.SIGTERM)
  before = [signal.signal(number, on_signal) for number in numbers]
  try:
    yield lambda: received[0] if received else None
  finally:
    for number, handler in zip(numbers, before, strict=True):
      signal.signal(number, handler)
