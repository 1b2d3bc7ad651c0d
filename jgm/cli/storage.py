"""The one place where a run's text and event files are written: local or gs://."""

import os
import time

from etils import epath


class Journal:
  """A text file that grows by lines and survives a kill at any moment.

  On a local disk a line is appended and synced. An object store (`gs://`) cannot
  append, so there the whole object is written again, at most every `interval` seconds
  and whenever `flush` is called.
  """

  def __init__(self, path: str | os.PathLike[str], *, interval: float = 30.0):
    self.path = epath.Path(path)
    self._appends = is_local(self.path)
    self._interval = interval
    self._pending = b""
    self._written = 0.0

  def read(self) -> bytes:
    """All that was written, with what is still to be flushed."""
    kept = self.path.read_bytes() if self.path.exists() else b""
    return kept + self._pending

  def append(self, line: bytes) -> None:
    """Adds a line. Synced to a local disk before it returns."""
    if self._appends:
      with open(self.path, "ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
      return
    self._pending += line
    if time.monotonic() - self._written > self._interval:
      self.flush()

  def flush(self) -> None:
    """Writes what an object store has not got yet; a local file has it all."""
    if self._pending:
      self.replace(self.read())

  def replace(self, content: bytes) -> None:
    """Puts `content` in the file's place in one move: all of it or nothing."""
    replace_file(self.path, content)
    self._pending = b""
    self._written = time.monotonic()


def is_local(path: str | os.PathLike[str]) -> bool:
  """Whether a path is on this machine's own file system."""
  return "://" not in os.fspath(path)


def replace_file(path: str | os.PathLike[str], content: bytes) -> None:
  """Writes a file as a whole: after a kill it is the old one or the new one."""
  target = epath.Path(path)
  target.parent.mkdir(parents=True, exist_ok=True)
  if not is_local(target):
    target.write_bytes(content)  # an object appears only once it is complete
    return
  # A name of its own for each file: what a kill leaves is overwritten the next time.
  partial = target.parent / f".{target.name}.partial"
  with open(partial, "wb") as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
  os.replace(partial, target)
  descriptor = os.open(target.parent, os.O_RDONLY)
  try:
    os.fsync(descriptor)  # else the rename itself may be lost with the power
  finally:
    os.close(descriptor)
