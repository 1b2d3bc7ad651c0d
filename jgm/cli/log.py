"""A run's metrics: rows of JSON that a resumed run continues bit for bit."""

import json
import math
import os
import re
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from etils import epath
from numpy.typing import ArrayLike

from jgm.cli.events import EventFile
from jgm.cli.storage import Journal, replace_file
from jgm.eval.pictures import png_bytes

Row = dict[str, Any]  # {"step": int, name: float, int or list of these}

# JSON has no word for these three. They are kept as strings, which `read_rows` turns
# back into floats; a null would not say which of them it was.
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_SAMPLE = re.compile(r"(?P<slug>.+)-(?P<step>\d{8,})\.(?P<kind>png|txt)")


class EvaluationLog:
  """A run's log beside the process that trains it, which is left its own files.

  The rows of `metrics.jsonl` are only read, and there are no events.
  """

  def __init__(self, workdir: str | os.PathLike[str]):
    self._workdir = epath.Path(workdir)

  def rows(self) -> list[Row]:
    """All rows, oldest first."""
    return read_rows(self._workdir / "metrics.jsonl")

  def write_image(self, step: int, caption: str, picture: ArrayLike) -> epath.Path:
    """Writes a picture [H, W, 3] uint8 to `samples/CAPTION-STEP.png`; returns its path.

    Raises:
      ValueError: where the picture is not uint8 [H, W, 3].
    """
    return self._write_png(step, _slug(caption) or "picture", png_bytes(picture))

  def write_text(self, step: int, caption: str, text: str) -> epath.Path:
    """Writes a text to `samples/CAPTION-STEP.txt`, in UTF-8; returns its path."""
    slug = _slug(caption) or "text"
    path = self._workdir / "samples" / f"{slug}-{step:08d}.txt"
    replace_file(path, text.rstrip("\n").encode() + b"\n")
    return path

  def _write_png(self, step: int, slug: str, png: bytes) -> epath.Path:
    path = self._workdir / "samples" / f"{slug}-{step:08d}.png"
    replace_file(path, png)
    return path


class MetricsLog(EvaluationLog):
  """What a run has measured: `metrics.jsonl`, `samples/*`, TensorBoard events.

  The rows, the pictures and the texts are what counts; the events are derived from
  them. Rows are the same bits in every run of the same config, but for the names under
  `time/`.
  """

  def __init__(self, workdir: str | os.PathLike[str]):
    """Opens the log of a run folder, new or old; a torn last row is removed.

    Raises:
      ValueError: where a row that is not the last cannot be read.
    """
    super().__init__(workdir)
    self._workdir.mkdir(parents=True, exist_ok=True)
    self._journal = Journal(self._workdir / "metrics.jsonl")
    self._events: EventFile | None = None
    content = self._journal.read()
    whole = _encode_rows(_decode(content, self._journal.path))
    if content != whole:
      self._journal.replace(whole)

  def write(self, step: int, metrics: Mapping[str, ArrayLike]) -> None:
    """Adds a row, on the disk when this returns.

    Args:
      step: the number of steps that were taken when this was measured.
      metrics: name -> scalar [], or [N] from N seeds. Float32 is written by its
        shortest decimal, which reads back as the same float32.

    Raises:
      ValueError: where a name is "step" or a value is not a number or a vector of them.
    """
    row = _row(step, metrics)
    row["time/unix"] = round(time.time(), 3)
    self._open_events()
    self._journal.append(_encode(row))
    self._write_events(row)

  def cut(self, step: int) -> list[Row]:
    """Removes what a run wrote after `step`, its checkpoint; returns the rows kept.

    The rows go in one move, so a kill leaves either all of them or none.
    """
    kept = [row for row in self.rows() if row["step"] <= step]
    for path, match in self._samples():
      if int(match["step"]) > step:
        path.unlink()
    self._close_events()
    self._journal.replace(_encode_rows(kept))
    return kept

  def rows(self) -> list[Row]:
    """All rows, oldest first."""
    return _decode(self._journal.read(), self._journal.path)

  def flush(self) -> None:
    """Writes what a bucket has not got yet. Call it before a checkpoint is saved."""
    self._journal.flush()
    if self._events is not None:
      self._events.flush()

  def close(self) -> None:
    """Flushes and closes the files."""
    self._journal.flush()
    self._close_events()

  def __enter__(self) -> Self:
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
  ) -> None:
    self.close()

  def _write_png(self, step: int, slug: str, png: bytes) -> epath.Path:
    events = self._open_events()  # holds the pictures so far
    path = super()._write_png(step, slug, png)
    events.image(step, slug, png, time.time())
    return path

  def _samples(self) -> list[tuple[epath.Path, re.Match[str]]]:
    folder = self._workdir / "samples"
    names = sorted(folder.iterdir()) if folder.exists() else []
    matches = [(path, _SAMPLE.fullmatch(path.name)) for path in names]
    return [(path, match) for path, match in matches if match]

  def _open_events(self) -> EventFile:
    if self._events is None:
      self._events = EventFile(self._workdir)
      times = {}
      for row in self.rows():
        self._write_events(row)
        times[row["step"]] = row["time/unix"]
      for path, match in self._samples():
        if match["kind"] == "png":
          step = int(match["step"])
          at = times.get(step, time.time())
          self._events.image(step, match["slug"], path.read_bytes(), at)
    return self._events

  def _write_events(self, row: Row) -> None:
    assert self._events is not None
    numbers = {k: v for k, v in row.items() if k not in ("step", "time/unix")}
    self._events.scalars(row["step"], numbers, row["time/unix"])

  def _close_events(self) -> None:
    if self._events is not None:
      self._events.close()
      self._events = None


class NoLog(MetricsLog):
  """The log of all processes but the first, which writes for them."""

  def __init__(self) -> None:
    pass

  def write(self, step: int, metrics: Mapping[str, ArrayLike]) -> None:
    """Writes nothing, and so do the others."""

  def cut(self, step: int) -> list[Row]:
    """No rows."""
    return []

  def rows(self) -> list[Row]:
    """No rows."""
    return []

  def flush(self) -> None:
    """Nothing."""

  def close(self) -> None:
    """Nothing."""


def read_rows(path: str | os.PathLike[str]) -> list[Row]:
  """The rows of a `metrics.jsonl`, oldest first; none where there is no file.

  A last line that a kill has torn is left out. NaN and the infinities, which are
  strings in the file, are floats here.

  Raises:
    ValueError: where any other line is not a row; it is named by its number.
  """
  file = epath.Path(path)
  return _decode(file.read_bytes() if file.exists() else b"", file)


def _slug(caption: str) -> str:
  return re.sub(r"[^a-z0-9]+", "-", caption.lower()).strip("-")


def _decode(content: bytes, path: epath.Path) -> list[Row]:
  rows = []
  lines = content.split(b"\n")
  for number, line in enumerate(lines, 1):
    try:
      row = json.loads(line)
      if not isinstance(row, dict) or not isinstance(row.get("step"), int):
        raise ValueError("no step")
      rows.append({name: _from_json(value) for name, value in row.items()})
    except ValueError as error:
      if number < len(lines):
        raise ValueError(f"{path}, line {number}: not a row of metrics") from error
  return rows


def _from_json(value: Any) -> Any:
  if isinstance(value, list):
    return [_from_json(x) for x in value]
  return _WORDS.get(value, value) if isinstance(value, str) else value


def _encode_rows(rows: list[Row]) -> bytes:
  return b"".join(_encode(row) for row in rows)


def _encode(row: Row) -> bytes:
  line = {name: _to_json(value) for name, value in row.items()}
  return json.dumps(line, allow_nan=False).encode() + b"\n"


def _to_json(value: Any) -> Any:
  if isinstance(value, list):
    return [_to_json(x) for x in value]
  if isinstance(value, float) and not math.isfinite(value):
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
  return value


def _row(step: int, metrics: Mapping[str, ArrayLike]) -> Row:
  if "step" in metrics:
    raise ValueError('a metric cannot be named "step": that is the row\'s own')
  timeless = sorted(name for name in metrics if not name.startswith("time/"))
  timed = sorted(name for name in metrics if name.startswith("time/"))
  return {"step": int(step)} | {n: _number(n, metrics[n]) for n in timeless + timed}


def _number(name: str, value: ArrayLike) -> float | int | list[float | int]:
  array = np.asarray(value)
  if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
    raise ValueError(f"metric {name!r} is not a number but {array.dtype}")
  if array.ndim > 1:
    shape = list(array.shape)
    raise ValueError(f"metric {name!r} must be a scalar or [seeds], not {shape}")
  if array.ndim == 1:
    return [_scalar(x) for x in array]
  return _scalar(array[()])


def _scalar(x: Any) -> float | int:
  if x.dtype.kind in "iub":
    return int(x)
  if x.dtype == np.float64:
    return float(x)
  return float(str(np.float32(x)))  # 0.1, where float() would give 0.10000000149
