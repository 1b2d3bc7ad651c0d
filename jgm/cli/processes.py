"""The processes of a run: one on a laptop, one for each host of a pod.

All read the same command line and take the same steps. The first writes and speaks; the
others do what it does, and are silent.
"""

import glob
import importlib.util
import json
import os

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from jgm.cli.config import flatten
from jgm.cli.errors import UserError

# How long the others wait for a process that has died without a word. Its connections
# break at once; but where a host is gone, or a TPU waits for another, nothing else
# tells.
HEARTBEAT_SECONDS = 60
SHUTDOWN_SECONDS = 60


def start_processes(
  coordinator: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
) -> None:
  """Joins the processes of this run, where there are several; else does nothing.

  Call it before anything is computed.

  Args:
    coordinator: HOST:PORT of the first process; None: as the environment says, of a TPU
      pod, Slurm or Open MPI.
    num_processes: how many there are; likewise.
    process_id: which this is, from 0; likewise.

  Raises:
    UserError: if some of the three are given and others not, or they cannot be met.
  """
  given = (coordinator, num_processes, process_id)
  if given != (None, None, None):
    if None in given:
      raise UserError("--coordinator, --num_processes and --process_id go together")
  elif not _in_several():
    return
  try:
    jax.distributed.initialize(
      *given,
      heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
      shutdown_timeout_seconds=SHUTDOWN_SECONDS,
    )
  except (ValueError, RuntimeError) as error:
    raise UserError(f"the processes cannot meet: {error}") from error
  if not is_first():
    with open(os.devnull, "w") as nowhere:  # errors still reach the terminal
      os.dup2(nowhere.fileno(), 1)


def is_first() -> bool:
  """Whether this process is the one that writes and speaks."""
  return jax.process_index() == 0


def in_several() -> bool:
  """Whether there are others; it may be asked before anything is computed."""
  return jax.distributed.is_initialized() and jax.process_count() > 1


def first_says(answer: bool) -> bool:
  """The first process's answer. All call it alike."""
  if jax.process_count() == 1:
    return answer
  return bool(multihost_utils.broadcast_one_to_all(np.int32(answer)))


def wait_for_all(where: str) -> None:
  """Returns once every process is here. All call it alike."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(where)


def check_same_config(config: ConfigDict) -> None:
  """Raises where this process's config is not the first one's.

  Args:
    config: this process's.

  Raises:
    UserError: on every process; those that differ name the keys.
  """
  if jax.process_count() == 1:
    return
  mine = flatten(config)
  first = _of_first({key: repr(value) for key, value in mine.items()})
  keys = sorted(first.keys() | mine.keys())
  differing = [
    f"{key}: {first.get(key, 'absent')} in process 0, "
    f"{repr(mine[key]) if key in mine else 'absent'} in process {jax.process_index()}"
    for key in keys
    if key not in mine or first.get(key) != repr(mine[key])
  ]
  differ = multihost_utils.process_allgather(np.int32(bool(differing)))
  if differing:
    raise UserError("the processes' configs differ:\n  " + "\n  ".join(differing))
  if others := [str(i) for i in np.flatnonzero(differ)]:
    raise UserError(f"the config of process {', '.join(others)} is another: see there")


def _of_first(value: dict[str, str]) -> dict[str, str]:
  """What the first process has, on all of them."""
  text = np.frombuffer(json.dumps(value).encode(), np.uint8)
  size = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
  sent = text if is_first() else np.zeros(size, np.uint8)
  return json.loads(np.asarray(multihost_utils.broadcast_one_to_all(sent)).tobytes())


def _in_several() -> bool:
  """Whether the environment is one of which JAX knows how its processes meet."""
  environment = os.environ
  in_slurm = int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1
  in_open_mpi = int(environment.get("OMPI_COMM_WORLD_SIZE", 1)) > 1
  return in_slurm or in_open_mpi or _on_tpu_vm()


def _on_tpu_vm() -> bool:
  """Whether this machine has TPU chips, of which a pod's other machines have more."""
  platforms = os.environ.get("JAX_PLATFORMS", "") or "tpu"
  chips = glob.glob("/dev/accel*") + glob.glob("/dev/vfio/[0-9]*")
  has_compiler = importlib.util.find_spec("libtpu") is not None
  return "tpu" in platforms and bool(chips) and has_compiler
