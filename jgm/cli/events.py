"""TensorBoard events, derived from the run's own rows and pictures."""

import os
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from etils import epath
from tensorboardX import RecordWriter
from tensorboardX.proto import event_pb2, summary_pb2

from jgm.cli.storage import is_local

_SUFFIX = ".jgm"


class EventFile:
  """One file of TensorBoard events, which stands in the place of any earlier one.

  Nothing is kept here alone: a resumed run writes a new file from its rows, so the
  curves never fold back on themselves.
  """

  def __init__(self, folder: str | os.PathLike[str], *, interval: float = 30.0):
    root = epath.Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    for old in root.glob(f"events.out.tfevents.*{_SUFFIX}"):
      old.unlink()
    # A new name each time: a TensorBoard that is watching would otherwise read on in
    # the new file from where it stood in the old one.
    self._target = root / f"events.out.tfevents.{time.time():.6f}{_SUFFIX}"
    self._local = os.fspath(self._target)
    if not is_local(root):
      self._local = os.path.join(tempfile.mkdtemp(), self._target.name)
    self._interval = interval
    self._flushed = 0.0
    self._writer = RecordWriter(self._local)
    self._add(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))

  def scalars(self, step: int, row: Mapping[str, Any], wall_time: float) -> None:
    """Adds a row's numbers; a list (several seeds) as its mean and one by one."""
    values = []
    for tag, value in row.items():
      if isinstance(value, list):
        seeds = [(f"{tag}/seed_{i}", x) for i, x in enumerate(value)]
        values += [(tag, sum(value) / len(value)), *seeds] if value else []
      else:
        values.append((tag, value))
    summary = summary_pb2.Summary(
      value=[summary_pb2.Summary.Value(tag=tag, simple_value=x) for tag, x in values]
    )
    self._add(event_pb2.Event(step=step, wall_time=wall_time, summary=summary))

  def image(self, step: int, tag: str, png: bytes, wall_time: float) -> None:
    """Adds a picture, as the bytes of a PNG file."""
    image = summary_pb2.Summary.Image(encoded_image_string=png)
    value = summary_pb2.Summary.Value(tag=tag, image=image)
    summary = summary_pb2.Summary(value=[value])
    self._add(event_pb2.Event(step=step, wall_time=wall_time, summary=summary))

  def _add(self, event: event_pb2.Event) -> None:
    self._writer.write(event.SerializeToString())
    if time.monotonic() - self._flushed > self._interval:
      self.flush()

  def flush(self) -> None:
    """Writes all events to the disk or the bucket."""
    self._writer.flush()
    if self._local != os.fspath(self._target):
      self._target.write_bytes(epath.Path(self._local).read_bytes())
    self._flushed = time.monotonic()

  def close(self) -> None:
    """Flushes and closes the file."""
    self.flush()
    self._writer.close()
