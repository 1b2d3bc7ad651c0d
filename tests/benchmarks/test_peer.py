"""Environments of peers: what is said before they are made, and when that fails."""

import subprocess

import pytest

from benchmarks import peer
from benchmarks.__main__ import BENCHES, environments


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
  """A checkout in which no environment has been made."""
  (tmp_path / "benchmarks").mkdir()
  for name in peer.DOWNLOAD_MB:
    (tmp_path / "benchmarks" / f"requirements-{name}.txt").write_text(f"{name}==1\n")
  monkeypatch.setattr(peer, "ROOT", tmp_path)
  monkeypatch.setattr(peer, "_failed", {})
  return tmp_path


def make(root, name):
  folder = root / ".bench" / name
  folder.mkdir(parents=True)
  requirements = f"requirements-{name}.txt"
  (folder / requirements).write_text((root / "benchmarks" / requirements).read_text())


def test_it_says_beforehand_what_it_will_download(nowhere):
  make(nowhere, "pot")
  lines = peer.downloads(["pot", "ott", "geomloss"])
  megabytes = peer.DOWNLOAD_MB["ott"] + peer.DOWNLOAD_MB["geomloss"]
  assert lines[0] == ".bench/pot: is there"
  assert str(peer.DOWNLOAD_MB["ott"]) in lines[1] and f"{megabytes} MB" in lines[-1]
  assert peer.downloads(["pot"])[-1] == "nothing to download"
  (nowhere / "benchmarks" / "requirements-pot.txt").write_text("pot==2\n")
  assert not peer.is_installed("pot")


def test_every_environment_of_a_bench_has_a_size():
  assert set(environments(list(BENCHES))) <= peer.DOWNLOAD_MB.keys()
  assert environments(["ddim", "ddpm_step"]) == ["peer"]


def test_what_cannot_be_made_says_why_and_is_not_tried_again(monkeypatch):
  calls = []

  def fail(name, python):
    calls.append(name)
    said = {"stderr": "one line\nERROR: there is no such wheel\n"}
    raise subprocess.CalledProcessError(1, "pip", **said)

  monkeypatch.setattr(peer, "_install", fail)
  for _ in range(2):
    with pytest.raises(peer.PeerError, match="pot could not be made: ERROR: there is"):
      peer.python_of("pot")
  assert calls == ["pot"]
