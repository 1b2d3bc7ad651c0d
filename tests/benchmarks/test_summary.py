"""The last table: who is compared with whom, on made-up numbers."""

import pytest

from benchmarks.summary import TITLES, rows, table

MACHINE = {
  "processor": "made up",
  "threads": 2,
  "matmul_gflops": 100.0,
  "copy_gb_per_s": 20.0,
}


def result(*wall, **facts):
  """A contestant's, of 1 GFLOP in a forward pass."""
  return {"wall": list(wall), "runs": 1, "flops": 1e9, **facts}


def only(bench, workload, results, **entry):
  (row,) = rows({"machine": MACHINE, bench: {workload: {"results": results, **entry}}})
  return row


def test_a_ratio_is_of_the_best_of_both_within_a_round():
  results = {
    "jgm, 1 step per call": result(2.0, 2.0, 2.0),
    "jgm, 100 steps per call": result(1.0, 1.0, 2.0),
    "diffusers": result(9.0, 9.0, 9.0),
    "diffusers, channels last": result(1.5, 3.0, 4.0),
  }
  row = only("ddpm_step", "digits", results, passes=3, seeds_over_single={"wall": 1.0})
  assert (row.jgm, row.peer) == ("jgm, 100 steps per call", "diffusers, channels last")
  assert row.ratios == (1.5, 3.0, 2.0) and row.ratio == 2.0
  assert row.title == "DDPM step, digits" and not row.reason
  # 3 passes of 1 GFLOP in the median of a second, of the 100 that there could be
  assert row.limit.share == pytest.approx(0.03) and row.limit.of == "multiply"


def test_many_seeds_at_once_are_compared_with_many_alone():
  single = {"jgm": result(1.0), "jgm, 4 seeds": result(0.9, runs=4)}
  assert only("ddpm_step", "digits", {**single, "diffusers": result(2.0)}).jgm == "jgm"
  eight = {"jgm, 8 seeds": result(1.0, runs=8), "one by one": result(3.0, runs=8)}
  row = only("seeds", "gan", eight)
  assert (row.jgm, row.ratio) == ("jgm, 8 seeds", 3.0)


def test_a_peer_that_could_not_run_is_a_row_with_its_reason():
  missing = {"left_out": "not run: no PyTorch"}
  row = only("ddim", "digits", {"jgm": result(1.0), "diffusers": missing}, passes=1)
  assert row.ratios == () and "diffusers: not run: no PyTorch" in row.reason
  assert row.limit.share == pytest.approx(0.01)
  both = {"jgm": result(1.0), "diffusers": result(2.0), "another": missing}
  row = only("ddim", "digits", both)
  assert row.ratio == 2.0 and "another" in row.reason
  assert table([row], MACHINE).row_count == 1


def test_who_does_not_get_there_is_not_the_best():
  def solved(wall, converged, **facts):
    facts = {"converged": converged, "finite": True, "iterations": 100, **facts}
    return {"wall": [wall], **facts}

  problem = {
    "jgm, kernel": solved(1.0, True),
    "ott-jax": solved(0.1, False),
    "POT": solved(5.0, True),
  }
  found = rows(
    {
      "machine": MACHINE,
      "sinkhorn": {
        "tolerance": {"tolerance/256/2": problem},
        "iterations": {"iterations/4096/2": problem},
        "small_epsilon": {"small_epsilon": {"0.001": problem}},
      },
    }
  )
  assert [row.peer for row in found] == ["POT", "ott-jax", "POT"]
  assert [row.workload for row in found] == [
    "tolerance 256, 2-D",
    "iterations 4096, 2-D",
    "epsilon 0.001",
  ]
  # 100 iterations that read 64 MiB of kernel twice, in a second
  share = 100 * 2 * 4 * 4096**2 / 1e9 / 20.0
  assert found[1].limit.of == "copy"
  assert found[1].limit.share == pytest.approx(share)
  assert found[0].limit is None
  lost = {"jgm, kernel": solved(1.0, True), "POT": solved(5.0, True, finite=False)}
  (row,) = rows({"machine": MACHINE, "tolerance/256/2": lost})
  assert row.bench == "sinkhorn" and not row.ratios and row.reason


def test_every_bench_has_a_title():
  from benchmarks.__main__ import BENCHES

  assert TITLES.keys() == BENCHES.keys()
