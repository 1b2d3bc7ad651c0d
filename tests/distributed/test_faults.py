"""What happens to one of two processes, and what the other then does."""

import signal
import time

import pytest

from jgm.core import checkpoint

SMOKE = "--config=configs/ddpm.py:smoke"
ENDLESS = ("--config.total_steps=100000", "--config.checkpoint.every_steps=8")


def wait_for_step(folder, step, processes):
  """Returns once there is a checkpoint of that step or later."""
  for _ in range(1200):
    if max(checkpoint.steps(folder / "checkpoints"), default=0) >= step:
      return
    assert all(process.poll() is None for process in processes)
    time.sleep(0.1)
  raise AssertionError("no checkpoint came")


def errors_of(end):
  return [line for line in end.err.splitlines() if line.startswith(("error", "  "))]


@pytest.fixture
def folder(tmp_path):
  return tmp_path / "run"


def test_a_signal_to_one_makes_all_save_the_same_step_and_go_on(command, ended, folder):
  processes = command("ddpm", SMOKE, *ENDLESS)
  wait_for_step(folder, 8, processes)
  processes[1].send_signal(signal.SIGTERM)
  first, second = ended(processes)
  assert first.code == second.code == 1
  (said,) = errors_of(first)
  assert said.startswith("error: SIGTERM: saved at step") and errors_of(second) == [
    said
  ]
  step = int(said.split("step ")[1].split(";")[0])
  assert checkpoint.steps(folder / "checkpoints")[-1] == step
  again = command("ddpm", SMOKE, *ENDLESS)
  wait_for_step(folder, step + 8, again)
  again[0].send_signal(signal.SIGINT)  # Ctrl-C at the first one's terminal
  first, second = ended(again)
  assert f"resuming from step {step}" in first.out and second.out.count("step") == 0
  assert "saved at step" in first.err and "saved at step" in second.err


def test_a_kill_of_one_ends_the_other_in_time_and_leaves_a_checkpoint(
  command, ended, folder
):
  processes = command("ddpm", SMOKE, *ENDLESS)
  wait_for_step(folder, 8, processes)
  processes[1].kill()
  start = time.monotonic()
  first, second = ended(processes)
  # The heartbeat is 10 s here; the rest is a machine that is at work on other tests.
  assert time.monotonic() - start < 40 and first.code != 0 and second.code != 0
  assert "another" in first.err
  assert checkpoint.read_metadata(folder / "checkpoints")[0] >= 8


def test_a_full_disk_of_one_ends_both_and_leaves_a_checkpoint(command, ended, folder):
  few = "--config.total_steps=8", "--config.eval.num_samples=32"
  assert all(end.code == 0 for end in ended(command("ddpm", SMOKE, *few)))
  full = lambda process: ((), {"JGM_TEST_FILE_BYTES": "20000"} if process else {})
  first, second = ended(command("ddpm", SMOKE, *ENDLESS, of_process=full))
  assert first.code != 0 and second.code == 1
  (said,) = errors_of(second)
  assert "cannot write the checkpoint of step 16" in said and "File too large" in said
  assert checkpoint.read_metadata(folder / "checkpoints")[0] == 8
  again = command("ddpm", SMOKE, *ENDLESS)
  wait_for_step(folder, 16, again)
  again[1].send_signal(signal.SIGTERM)
  assert "resuming from step 8" in ended(again)[0].out


def test_another_config_in_one_is_named(command, ended, folder):
  other = lambda process: ((f"--config.seed={process}",), {})
  first, second = ended(command("ddpm", SMOKE, of_process=other))
  assert first.code == second.code == 1
  assert errors_of(first) == ["error: the config of process 1 is another: see there"]
  assert errors_of(second) == [
    "error: the processes' configs differ:",
    "  seed: 0 in process 0, 1 in process 1",
  ]
  assert not folder.exists()
