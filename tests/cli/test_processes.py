"""Whether there are other processes, and how they are to be met."""

import jax
import pytest

from jgm.cli import processes
from jgm.cli.errors import UserError

CLEAN = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")


@pytest.fixture
def asked(monkeypatch):
  """What `jax.distributed.initialize` was asked for, each time."""
  calls = []
  for name in CLEAN:
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setattr(
    jax.distributed, "initialize", lambda *given, **options: calls.append(given)
  )
  monkeypatch.setattr(processes, "_on_tpu_vm", lambda: False)
  return calls


def test_a_laptop_meets_nobody(asked):
  processes.start_processes()
  assert asked == []


def test_what_is_given_is_passed_on(asked):
  processes.start_processes("host:1234", 2, 0)
  assert asked == [("host:1234", 2, 0)]


@pytest.mark.parametrize("name", CLEAN)
def test_a_launcher_of_several_is_asked_itself(asked, monkeypatch, name):
  monkeypatch.setenv(name, "1")
  processes.start_processes()
  monkeypatch.setenv(name, "4")
  processes.start_processes()
  assert asked == [(None, None, None)]


@pytest.mark.parametrize(
  "given", [("host:1", None, None), (None, 2, 0), ("h:1", 2, None)]
)
def test_half_of_the_flags_is_an_error(asked, given):
  with pytest.raises(UserError, match="go together"):
    processes.start_processes(*given)


def test_chips_without_a_cloud_are_one_machine_and_a_missing_host_an_error(
  asked, monkeypatch
):
  def fail(*given, **options):
    raise ValueError("coordinator_address should be defined.")

  monkeypatch.setattr(jax.distributed, "initialize", fail)
  monkeypatch.setattr(processes, "_on_tpu_vm", lambda: True)
  processes.start_processes()
  with pytest.raises(UserError, match="the processes cannot meet: coordinator"):
    processes.start_processes("host:1234", 2, 0)
