import os
import subprocess
import sys

import numpy as np
import pytest
import sklearn.datasets

from jgm.data import DatasetError, make_dataset, to_levels
from jgm.data.digits_builder import held_out_rows, load_pixels

# Run where any use of the network or of TensorFlow is an error.
PREPARE = """
import socket, sys
def refuse(*_): raise AssertionError("the network was asked")
socket.socket.connect = socket.getaddrinfo = refuse
from jgm.data.digits import read_digits
assert len(read_digits("train")["label"]) == 1297
assert "tensorflow" not in sys.modules
"""


def rows(split):
  """The digits of a split as sorted (label, pixels)."""
  data = make_dataset("digits", batch_size=4, seed=0)
  leaves = data.split(split)
  levels = to_levels(leaves["x"], data.spec)
  return sorted(
    (int(label), *image.ravel().tolist())
    for label, image in zip(leaves["label"], levels, strict=True)
  )


def test_the_splits_are_all_of_scikit_learns_digits():
  images, labels = sklearn.datasets.load_digits(return_X_y=True)
  expected = sorted(
    (int(label), *image.astype(int).tolist())
    for label, image in zip(labels, images, strict=True)
  )
  train, test = rows("train"), rows("test")
  assert (len(train), len(test)) == (1297, 500)
  assert sorted(train + test) == expected
  assert not set(train) & set(test)  # there are no doubles among the digits


def test_the_held_out_digits_are_the_same_for_ever():
  _, labels = load_pixels()
  held_out = np.flatnonzero(held_out_rows(labels))
  assert held_out.sum() == 435902
  assert held_out[:8].tolist() == [3, 5, 7, 13, 16, 19, 22, 26]


def test_classes_and_writers_have_the_same_share_in_both_splits():
  _, labels = load_pixels()
  held_out = held_out_rows(labels)
  share = np.bincount(labels[held_out]) / np.bincount(labels)
  np.testing.assert_allclose(share, 500 / 1797, atol=1 / 174)
  # a writer's digits are neighbours: each block of 130 or so gives its share
  blocks = [block.mean() for block in np.array_split(held_out, 14)]
  assert np.abs(np.array(blocks) - 500 / 1797).max() < 4 * np.sqrt(0.28 * 0.72 / 128)


def test_processes_may_prepare_at_once_in_silence_without_network_or_tensorflow(
  tmp_path,
):
  environment = {**os.environ, "JGM_CACHE": str(tmp_path)}
  started = [
    subprocess.Popen(
      [sys.executable, "-W", "error", "-c", PREPARE],
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
    )
    for _ in range(2)
  ]
  for process in started:
    output = process.communicate(timeout=120)
    assert (process.returncode, output) == (0, (b"", b""))
  # nothing half-written is left
  assert [path.name for path in (tmp_path / "tfds").iterdir()] == ["digits"]
  assert [path.name for path in (tmp_path / "tfds" / "digits").iterdir()] == ["1.0.0"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
  (tmp_path / "file").write_text("")
  monkeypatch.setenv("JGM_CACHE", str(tmp_path / "file"))
  data = make_dataset("digits", batch_size=4, seed=0)
  with pytest.raises(DatasetError, match="set JGM_CACHE to a folder"):
    data.arrays(0, 1)
