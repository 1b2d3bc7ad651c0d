"""Two processes of two devices are one process of four, and one device, and cut ones.

DESIGN: one step's losses and reduced gradients to 1e-5, and parameters after 5 steps of
plain gradient descent; two identical runs bit for bit.
"""

import json

import numpy as np
import pytest

EXPERIMENTS = ("ddpm", "dcgan", "gpt")
CUTS = {
  "fsdp": {"fsdp": True},
  "tensor": {"model_devices": 2},
  "both": {"fsdp": True, "model_devices": 2},
}


def tasks_of(folder, save):
  plain = [{"name": name, "experiment": name, "steps": 5} for name in EXPERIMENTS]
  ahead = {"name": "ahead", "experiment": "ddpm", "steps": 2, "read_ahead": True}
  saved = {"name": "saved", "experiment": "gpt", "steps": 2, "save": str(folder / save)}
  return [*plain, ahead, {**saved, "parallel": {"fsdp": True}}]


@pytest.fixture(scope="module")
def run(start, ended, free_port):
  """(out, tasks, ...) -> what each process found, by task."""

  def of_all(out, tasks, *, processes, devices):
    meet = f"localhost:{free_port()}"
    started = [
      start("task.py", meet, processes, i, json.dumps(tasks), out, devices=devices)
      for i in range(processes)
    ]
    found = []
    for end in ended(started):
      assert end.code == 0, end.err[-2000:]
      lines = [line for line in end.err.splitlines() if line.startswith("FOUND")]
      found.append({k: v for line in lines for k, v in json.loads(line[6:]).items()})
    return found

  return of_all


@pytest.fixture(scope="module")
def runs(run, tmp_path_factory):
  folder = tmp_path_factory.mktemp("tasks")
  sizes = {"two": (2, 2), "again": (2, 2), "four": (1, 4), "one": (1, 1)}
  found = {}
  for name, (processes, devices) in sizes.items():
    tasks = tasks_of(folder, f"saved_{name}")
    if name == "four":
      more = [("gpt", cut) for cut in CUTS] + [("ddpm", "both")]
      tasks += [
        {"name": f"{e}_{cut}", "experiment": e, "steps": 5, "parallel": CUTS[cut]}
        for e, cut in more
      ]
    out = folder / name
    found[name] = run(out, tasks, processes=processes, devices=devices)
  return folder, found


def moves(folder, name, task, process=0):
  """How far the steps have moved each parameter."""
  with np.load(folder / f"{name}-{process}-{task}.npz") as file:
    return [file[leaf] for leaf in file.files]


def assert_same_moves(some, others):
  """To 1e-4 of the longest move of each leaf, and 1e-6, which is float32's rounding."""
  assert max(np.abs(leaf).max() for leaf in some) > 1e-2
  for x, y in zip(some, others, strict=True):
    np.testing.assert_allclose(y, x, rtol=0, atol=1e-4 * np.abs(x).max() + 1e-6)


def assert_close(folder, found, a, b, task, other_task=None):
  first, second = found[a][0][task], found[b][0][other_task or task]
  for step, row in enumerate(first["metrics"]):
    for name, value in row.items():
      # Later steps begin at parameters whose rounding differs, and a game spreads that.
      rtol = 2e-4 if step else 1e-5
      other = second["metrics"][step][name]
      np.testing.assert_allclose(other, value, rtol=rtol, atol=1e-6)
  assert_same_moves(moves(folder, a, task), moves(folder, b, other_task or task))


@pytest.mark.parametrize("other", ["four", "one"])
@pytest.mark.parametrize("task", [*EXPERIMENTS, "ahead"])
def test_two_processes_do_what_one_does(runs, task, other):
  assert_close(*runs, other, "two", task)


@pytest.mark.parametrize("task", [*EXPERIMENTS, "ahead", "saved"])
def test_two_identical_runs_are_the_same_bit_for_bit(runs, task):
  folder, found = runs
  assert found["two"][0][task] == found["again"][0][task]
  for process in (0, 1):
    assert found["two"][process][task]["metrics"] == found["two"][0][task]["metrics"]
    some, others = moves(folder, "two", task), moves(folder, "again", task, process)
    for x, y in zip(some, others, strict=True):
      np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("task", ["gpt_fsdp", "gpt_tensor", "gpt_both", "ddpm_both"])
def test_a_state_that_is_cut_learns_what_a_whole_one_does(runs, task):
  assert_close(*runs, "four", "four", task.partition("_")[0], task)


def test_each_process_reads_its_rows_and_no_other(runs):
  """The steps of these rows are those of the whole batch: see "ahead" above."""
  _, found = runs
  rows = [found["two"][process]["ahead"]["rows"] for process in (0, 1)]
  assert rows[0] and rows[1] and not set(rows[0]) & set(rows[1])
  assert sorted(rows[0] + rows[1]) == found["one"][0]["ahead"]["rows"]


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_what_four_devices_saved_others_go_on_from(run, runs, devices):
  """Cut over four devices of two processes; as if one device had taken all steps."""
  folder, _ = runs
  task = {"name": "on", "experiment": "gpt", "steps": 3}
  task |= {"load": str(folder / "saved_two"), "parallel": {"fsdp": devices > 1}}
  found = run(folder / f"on{devices}", [task], processes=1, devices=devices)
  assert len(found[0]["on"]["metrics"]) == 3
  assert_same_moves(moves(folder, "one", "gpt"), moves(folder, f"on{devices}", "on"))
