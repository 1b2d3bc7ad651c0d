"""The log: what was measured survives any kill, once and in order."""

import json
import math
import os
import signal
import struct
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import masked_crc32c

from jgm.cli.events import EventFile
from jgm.cli.log import MetricsLog, read_rows
from jgm.cli.storage import Journal, replace_file

PICTURE = np.zeros((4, 6, 3), np.uint8)


def timeless(rows):
  return [{k: v for k, v in row.items() if k[:5] != "time/"} for row in rows]


def events_of(folder):
  """All events in the folder's only event file, each checked against its checksums."""
  (path,) = folder.glob("events.out.tfevents.*")
  data, events = path.read_bytes(), []
  while data:
    (length,) = struct.unpack("<Q", data[:8])
    assert struct.unpack("<I", data[8:12])[0] == masked_crc32c(data[:8])
    body = data[12 : 12 + length]
    assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked_crc32c(
      body
    )
    events.append(event_pb2.Event.FromString(body))
    data = data[16 + length :]
  return events


def curve(folder, tag):
  return [
    (event.step, round(value.simple_value, 6))
    for event in events_of(folder)
    for value in event.summary.value
    if value.tag == tag and not value.HasField("image")
  ]


def test_rows_read_back_as_they_were(tmp_path):
  metrics = {
    "loss": jnp.float32(0.1),
    "seeds": np.array([0.5, 0.25], np.float32),
    "count": np.int32(7),
    "double": 1 / 3,
    "half": jnp.bfloat16(0.3),
    "time/steps_per_second": 25.3,
  }
  with MetricsLog(tmp_path) as log:
    log.write(100, metrics)
    (row,) = log.rows()
  assert timeless([row]) == [
    {
      "step": 100,
      "loss": 0.1,
      "seeds": [0.5, 0.25],
      "count": 7,
      "double": 1 / 3,
      "half": 0.30078125,
    }
  ]
  assert row["time/steps_per_second"] == 25.3 and row["time/unix"] > 1.6e9
  (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
  names = list(json.loads(line))
  assert names[0] == "step" and names[-2:] == ["time/steps_per_second", "time/unix"]


def test_every_float32_reads_back_to_its_own_bits(tmp_path):
  bits = np.random.default_rng(0).integers(0, 2**32, 2000, dtype=np.uint32)
  values = bits.view(np.float32)
  with MetricsLog(tmp_path) as log:
    log.write(1, {"x": values})
    (row,) = log.rows()
  read = np.array(row["x"]).astype(np.float32)
  assert np.array_equal(read, values, equal_nan=True)


def test_what_is_not_finite_is_valid_json(tmp_path):
  with MetricsLog(tmp_path) as log:
    log.write(1, {"a": np.nan, "b": [np.inf, -np.inf, 1.0]})

  def refuse(word):
    raise AssertionError(f"{word} is not JSON")

  text = (tmp_path / "metrics.jsonl").read_text()
  raw = json.loads(text, parse_constant=refuse)
  assert raw["a"] == "NaN" and raw["b"] == ["Infinity", "-Infinity", 1.0]
  (row,) = read_rows(tmp_path / "metrics.jsonl")
  assert math.isnan(row["a"]) and row["b"] == [math.inf, -math.inf, 1.0]


@pytest.mark.parametrize("torn", ['{"step": 3, "lo', '{"step"', "{", "\x00\x00", "7"])
def test_a_torn_last_line_is_left_out_and_removed(tmp_path, torn):
  with MetricsLog(tmp_path) as log:
    log.write(1, {"loss": 1.0})
    log.write(2, {"loss": 0.5})
  path = tmp_path / "metrics.jsonl"
  whole = path.read_bytes()
  path.write_bytes(whole + torn.encode())
  assert [row["step"] for row in read_rows(path)] == [1, 2]
  with MetricsLog(tmp_path) as log:
    assert path.read_bytes() == whole
    log.write(3, {"loss": 0.25})
  assert [row["loss"] for row in read_rows(path)] == [1.0, 0.5, 0.25]


@pytest.mark.parametrize("bad", ["nonsense", "[1]", '{"loss": 1}', '{"step": 1'])
def test_damage_elsewhere_is_an_error_that_names_the_line(tmp_path, bad):
  path = tmp_path / "metrics.jsonl"
  path.write_text(f'{{"step": 1}}\n{bad}\n{{"step": 3}}\n')
  with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2"):
    read_rows(path)


def test_no_file_has_no_rows(tmp_path):
  assert read_rows(tmp_path / "metrics.jsonl") == []


def test_a_run_that_was_cut_and_goes_on_equals_one_that_was_not(tmp_path):
  def measure(log, steps):
    for step in steps:
      log.write(step, {"loss": np.float32(1 / step), "time/x": float(np.random.rand())})
      if step % 4 == 0:
        log.write(step, {"eval/x": step})
        log.write_image(step, "Samples, so far", PICTURE + step)

  with MetricsLog(tmp_path / "whole") as log:
    measure(log, range(1, 13))
  with MetricsLog(tmp_path / "cut") as log:
    measure(log, range(1, 10))
  with MetricsLog(tmp_path / "cut") as log:
    kept = log.cut(6)
    assert [row["step"] for row in kept] == [1, 2, 3, 4, 4, 5, 6]
    (left,) = (tmp_path / "cut" / "samples").iterdir()
    assert left.name == "samples-so-far-00000004.png"
    measure(log, range(7, 13))
  whole, cut = tmp_path / "whole", tmp_path / "cut"
  rows = [read_rows(folder / "metrics.jsonl") for folder in (whole, cut)]
  assert timeless(rows[0]) == timeless(rows[1])
  for tag in ("loss", "eval/x"):
    assert curve(whole, tag) == curve(cut, tag)
  assert [s for s, _ in curve(cut, "loss")] == list(range(1, 13))  # never folds back
  names = [sorted(p.name for p in (f / "samples").iterdir()) for f in (whole, cut)]
  assert names[0] == names[1] == [f"samples-so-far-{s:08d}.png" for s in (4, 8, 12)]


def test_a_row_appended_while_the_log_is_opened_is_not_lost(tmp_path, monkeypatch):
  """A file that is whole is not replaced: by then it may have grown again."""
  with MetricsLog(tmp_path) as log:
    log.write(1, {"x": 1})
  read = Journal.read

  def read_and_grow(self):
    content = read(self)
    self.append(b'{"step": 2}\n')
    return content

  with monkeypatch.context() as others:
    others.setattr(Journal, "read", read_and_grow)
    others.setattr(Journal, "replace", None)
    MetricsLog(tmp_path)
  assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [1, 2]


def test_a_log_can_be_cut_while_it_is_open(tmp_path):
  with MetricsLog(tmp_path) as log:
    log.write(1, {"x": 1})
    log.write(9, {"x": 9})
    log.cut(1)
    log.write(2, {"x": 2})
    assert [row["step"] for row in log.rows()] == [1, 2]
  assert curve(tmp_path, "x") == [(1, 1), (2, 2)]


def test_events_hold_pictures_and_seeds_and_the_time_of_the_rows(tmp_path):
  with MetricsLog(tmp_path) as log:
    log.write(5, {"loss": [1.0, 3.0]})
    path = log.write_image(5, "samples", PICTURE)
  with MetricsLog(tmp_path) as log:
    log.cut(5)
    log.write(6, {"loss": [1.0, np.inf]})
    when = log.rows()[0]["time/unix"]
  assert curve(tmp_path, "loss") == [(5, 2.0), (6, np.inf)]
  assert curve(tmp_path, "loss/seed_1")[0] == (5, 3.0)
  images = [
    (event, value)
    for event in events_of(tmp_path)
    for value in event.summary.value
    if value.HasField("image")
  ]
  ((event, value),) = images
  assert value.tag == "samples" and event.step == 5 and event.wall_time == when
  assert value.image.encoded_image_string == path.read_bytes()


def test_another_programs_files_are_left_alone(tmp_path):
  theirs = tmp_path / "events.out.tfevents.1.host"
  theirs.write_text("theirs")
  (tmp_path / "samples").mkdir()
  (tmp_path / "samples" / "samples.npz").write_text("mine")
  with MetricsLog(tmp_path) as log:
    log.write(9, {"x": 1})
    log.cut(0)
    log.write(1, {"x": 1})
  assert theirs.read_text() == "theirs"
  assert (tmp_path / "samples" / "samples.npz").exists()


def test_a_kill_while_writing_loses_at_most_the_row_being_written(tmp_path):
  script = (
    "import sys\nfrom jgm.cli.log import MetricsLog\n"
    "with MetricsLog(sys.argv[1]) as log:\n"
    "  for step in range(10**9):\n"
    "    log.write(step, {'loss': 1.0})\n    print(step, flush=True)\n"
  )
  child = subprocess.Popen(
    [sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True
  )
  with child:
    said = [int(child.stdout.readline()) for _ in range(40)]
    os.kill(child.pid, signal.SIGKILL)
    said += [int(line) for line in child.stdout if line.endswith("\n")]
  steps = [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")]
  assert steps[: len(said)] == said and len(steps) <= len(said) + 1


@pytest.mark.parametrize(
  ("metrics", "message"),
  [
    ({"step": 1.0}, '"step"'),
    ({"x": np.zeros((2, 2))}, r"'x' must be a scalar or \[seeds\], not \[2, 2\]"),
    ({"x": "word"}, "'x' is not a number"),
    ({"x": None}, "'x' is not a number"),
    ({"x": 1j}, "'x' is not a number"),
  ],
)
def test_what_is_not_a_metric_is_refused_and_not_written(tmp_path, metrics, message):
  with MetricsLog(tmp_path) as log:
    with pytest.raises(ValueError, match=message):
      log.write(1, metrics)
    assert log.rows() == []


def test_a_bad_picture_leaves_no_file(tmp_path):
  with MetricsLog(tmp_path) as log:
    with pytest.raises(ValueError, match="uint8"):
      log.write_image(1, "x", np.zeros((2, 2, 3)))
    assert not (tmp_path / "samples").exists()


class Bucket(Journal):
  """A journal in a store that cannot append, on a local path."""

  def __init__(self, path, interval):
    super().__init__(path, interval=interval)
    self._appends = False


def test_where_one_cannot_append_the_whole_is_written_at_each_flush(tmp_path):
  path = tmp_path / "metrics.jsonl"
  journal = Bucket(path, interval=1e9)
  journal._written = math.inf
  journal.append(b"1\n")
  journal.append(b"2\n")
  assert not path.exists() and journal.read() == b"1\n2\n"
  journal.flush()
  assert path.read_bytes() == b"1\n2\n"
  journal.append(b"3\n")
  journal.flush()
  journal.flush()
  assert path.read_bytes() == journal.read() == b"1\n2\n3\n"
  eager = Bucket(path, interval=-1.0)
  eager.append(b"4\n")
  assert path.read_bytes() == b"1\n2\n3\n4\n"


def test_a_replaced_file_is_the_old_one_until_it_is_the_new_one(tmp_path, monkeypatch):
  path = tmp_path / "file"
  replace_file(path, b"old")
  with monkeypatch.context() as killed:
    killed.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
      replace_file(path, b"new")
  assert path.read_bytes() == b"old"
  replace_file(path, b"newer")
  assert path.read_bytes() == b"newer"
  assert [p.name for p in tmp_path.iterdir()] == ["file"]  # nothing half-done is left


def test_each_event_file_has_a_name_of_its_own(tmp_path):
  names = []
  for _ in range(2):
    EventFile(tmp_path).close()
    names += [p.name for p in tmp_path.iterdir()]
  assert len(names) == 2 and names[0] < names[1]
