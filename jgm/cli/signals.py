"""Ctrl-C and SIGTERM ask a run to save and end; a second Ctrl-C ends it at once.

Of several processes each may be asked, and all end after the same call.
"""

import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils

_calls = itertools.count(1)  # never begun again: JAX agrees on one that is yet to come


@contextlib.contextmanager
def catch_signals() -> Iterator[Callable[[], str | None]]:
  """Catches SIGINT and SIGTERM while it is entered.

  Yields:
    A function that returns the name of the signal that came, or None. Of several
    processes all call it after each compiled call, and get the same answer.
  """
  received: list[str] = []

  def on_signal(number, frame):
    if received:
      raise KeyboardInterrupt
    received.append(signal.Signals(number).name)
    if several:
      os.kill(os.getpid(), signal.SIGTERM)

  several = jax.process_count() > 1
  if threading.current_thread() is not threading.main_thread():
    yield lambda: None  # Python lets only the main thread set handlers: a notebook's
    return
  # SIGTERM, a cloud's notice, is then JAX's own, which tells the other processes.
  numbers = (signal.SIGINT,) if several else (signal.SIGINT, signal.SIGTERM)
  before = [signal.signal(number, on_signal) for number in numbers]
  try:
    yield _agreed if several else lambda: received[0] if received else None
  finally:
    for number, handler in zip(numbers, before, strict=True):
      signal.signal(number, handler)


def _agreed() -> str | None:
  reached = multihost_utils.reached_preemption_sync_point(next(_calls))
  return "SIGTERM" if reached else None
