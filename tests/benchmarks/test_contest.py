"""Turns of contestants, some of which cannot take part; no process is started."""

import io

import pytest
from rich.console import Console

from benchmarks import contest, first_step, seeds
from benchmarks.peer import PeerError


class Fake:
  """A worker that takes as long as its workload says, or ends at work."""

  def __init__(self, python, module, workload):
    self.seconds = workload["seconds"]
    self.facts = {"parameters": workload.get("parameters", 10), "flops": 100, "runs": 1}
    if self.seconds is None:
      raise RuntimeError(f"{module} ended; see above")

  def run(self, units):
    if self.seconds < 0:
      raise BrokenPipeError("ended at work")
    seconds = self.seconds * units
    return {"wall": seconds, "processor": seconds, "peak_mib": 9.0, "idle_mib": 2.0}

  def close(self):
    pass


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
  def python_of(name):
    if name == "nowhere":
      raise PeerError(".bench/nowhere could not be made: no wheel")
    return "python"

  monkeypatch.setattr(contest, "Worker", Fake)
  monkeypatch.setattr(contest, "python_of", python_of)


def entry(seconds, environment="peer", **workload):
  return environment, "a_worker", {"seconds": seconds, **workload}


def test_a_peer_that_fails_stays_with_its_reason():
  entrants = {
    "jgm": entry(1.0, "jgm"),
    "diffusers": entry(3.0),
    "not installed": entry(1.0, "nowhere"),
    "not made": entry(None),
    "dies": entry(-1.0),
  }
  results = contest.measure(entrants, units=4, rounds=2)
  assert list(results) == list(entrants)
  assert results["jgm"]["wall"] == [1.0, 1.0]
  assert set(contest.ran(results)) == {"jgm", "diffusers"}
  said = contest.left_out(results)
  for words in ("no wheel", "a_worker ended", "ended at work"):
    assert words in said
  assert contest.rises(results) == {"jgm": 7, "diffusers": 7}
  shown = text(contest.table("steps", results, "wall", unit="steps"))
  assert "3.00" in shown and "no wheel" in shown


def test_without_a_peer_there_is_no_ratio():
  entrants = {"jgm": entry(1.0, "jgm"), "diffusers": entry(1.0, "nowhere")}
  results = contest.measure(entrants, units=1, rounds=1)
  assert "no wheel" in text(contest.table("steps", results, "wall", unit="steps"))


def test_jgm_itself_may_not_fail():
  with pytest.raises(RuntimeError, match="a_worker ended"):
    contest.measure({"jgm": entry(None, "jgm")}, units=1, rounds=1)


def test_contestants_of_other_sizes_are_refused():
  entrants = {"jgm": entry(1.0, "jgm"), "peer": entry(1.0, parameters=11)}
  with pytest.raises(AssertionError, match="parameters"):
    contest.measure(entrants, units=1, rounds=1)


def test_seeds_are_told_by_one_seed_and_step():
  facts = {"runs": 8, "peak_mib": 1.0, "processor": [0.8, 0.8]}
  results = {
    seeds.TOGETHER: {"how": "at once", "wall": [0.4, 0.4], **facts},
    seeds.APART: {"how": "run by run", "wall": [0.8, 1.6], **facts},
  }
  shown = text(seeds.table("8 seeds", results))
  assert "at once" in shown and "50" in shown  # ms of one of 8
  assert "3.00" in shown  # the median of 2 and 4


def test_a_first_step_is_told_by_its_phases():
  results = {
    "jgm": {"wall": [10.0], "imports": [2.0], "tracing": [3.0], "compile": [4.0]},
    "PyTorch": {"wall": [5.0], "imports": [4.0], "tracing": [], "compile": []},
    "PyTorch, compiled": {"left_out": "not run: no compiler"},
  }
  shown = text(first_step.table("first step", results))
  assert "1.00" in shown and "0.50" in shown and "no compiler" in shown


def text(table):
  console = Console(file=io.StringIO(), width=200)
  console.print(table)
  return console.file.getvalue()
