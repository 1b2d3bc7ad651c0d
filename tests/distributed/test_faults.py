"""What happens to one of two processes, and what the other then does."""

import signal
import time

import pytest

from jgm.core import checkpoint

SMOKE = "--config=configs/ddpm.py:smoke"
ENDLESS = ("--config.total_steps=100000", "--config.checkpoint.every_steps=8")


FSDP = ("--config.parallel.fsdp=true", "--config.optimizer.flatten=false")


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
  processes = command("ddpm", SMOKE, *ENDLESS, *FSDP)
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
  again = command("ddpm", SMOKE, *ENDLESS, *FSDP)
  wait_for_step(folder, step + 8, again)
  again[0].send_signal(signal.SIGINT)  # Ctrl-C at the first one's terminal
  first, second = ended(again)
  assert f"resuming from step {step}" in first.out and second.out.count("step") == 0
  assert "saved at step" in first.err and "saved at step" in second.err


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_a_death_of_one_ends_the_other_in_time_and_leaves_a_checkpoint(
  command, ended, folder, victim, blow
):
  """Killed, its connections break; stopped, as a host that is gone, nothing tells."""
  processes = command("ddpm", SMOKE, *ENDLESS)
  wait_for_step(folder, 8, processes)
  processes[victim].send_signal(blow)
  start, other = time.monotonic(), processes[1 - victim]
  other.wait(
    60
  )  # the heartbeat is 10 s here, and the machine is at work on other tests
  assert time.monotonic() - start < 45 and other.returncode != 0
  processes[victim].kill()
  ended(processes)
  assert checkpoint.steps(folder / "checkpoints")[-1] >= 8


def test_a_full_disk_of_one_ends_both_and_leaves_a_checkpoint(command, ended, folder):
  few = "--config.total_steps=8", "--config.eval.num_samples=32"
  assert all(end.code == 0 for end in ended(command("ddpm", SMOKE, *few)))
  full = lambda process: ((), {"JGM_TEST_FILE_BYTES": "20000"} if process else {})
  first, second = ended(command("ddpm", SMOKE, *ENDLESS, of_process=full))
  assert first.code != 0 and second.code == 1
  (said,) = errors_of(second)
  assert "cannot write the checkpoint of step 16" in said and "File too large" in said
  assert checkpoint.steps(folder / "checkpoints")[-1] == 8
  again = command("ddpm", SMOKE, *ENDLESS)
  wait_for_step(folder, 16, again)
  again[1].send_signal(signal.SIGTERM)
  assert "resuming from step 8" in ended(again)[0].out


def test_another_config_in_one_is_named(command, ended, folder):
  other = lambda process: ((f"--config.seed={process}",), {})
  first, second = ended(command("ddpm", SMOKE, of_process=other))
  assert first.code == second.code == 1
  said = [
    "error: the processes' configs differ:",
    "  seed: 0 in process 0, 1 in process 1",
  ]
  assert errors_of(first) == said and errors_of(second) in (said, [])
  assert not folder.exists()


def test_folders_that_are_not_shared_are_an_error_of_both(command, ended, tmp_path):
  own = lambda process: ((f"--workdir={tmp_path / str(process)}",), {})
  for end in ended(command("ddpm", SMOKE, of_process=own)):
    (said,) = errors_of(end)
    assert said.startswith("error: process 1 does not see the folder of process 0")


def test_what_needs_another_run_finds_or_trains_it(command, ended, tmp_path):
  """The base is trained by both processes, then read by each of them."""
  base = f"--config.reference.workdir={tmp_path / 'base'}"
  few = "--config.total_steps=4", "--config.log.every_steps=4"
  for end in ended(
    command("reinforce", "--config=configs/reinforce.py:smoke", base, *few)
  ):
    assert end.code == 0, end.err[-2000:]


def test_a_mesh_without_one_of_the_processes_is_an_error(command, ended):
  for end in ended(command("ddpm", SMOKE, "--config.parallel.data_devices=2")):
    assert any("leaves out some of 2 processes" in line for line in errors_of(end))
