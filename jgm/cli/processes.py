"""The processes of a run: one on a laptop, one for each host of a pod.

All read the same command line and take the same steps. The first writes and speaks; the
others do what it does, and are silent.
"""

import glob
import importlib.util
import json
import os
import time
import uuid

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from jgm.cli.config import flatten
from jgm.cli.errors import UserError

# How long the others wait for a process that has died without a word. Its connections
# break at once; but where a host is gone, or a TPU waits for another, nothing else
# tells.
HEARTBEAT_SECONDS = 60
SHUTDOWN_SECONDS = 60
MARK_SECONDS = 20  # that a file takes at most to be seen on other machines


def start_processes(
  coordinator: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
  *,
  saves_when_asked: bool = True,
) -> None:
  """Joins the processes of this run, where there are several; else does nothing.

  Call it before anything is computed.

  Args:
    coordinator: HOST:PORT of the first process; None: as the environment says, of a TPU
      pod, Slurm or Open MPI.
    num_processes: how many there are; likewise.
    process_id: which this is, from 0; likewise.
    saves_when_asked: whether SIGTERM is a notice that JAX takes, for all to save at one
      step; else it ends the process.

  Raises:
    UserError: if some of the three are given and others not, or they cannot be met.
  """
  given = (coordinator, num_processes, process_id)
  is_given = given != (None, None, None)
  if is_given and None in given:
    raise UserError("--coordinator, --num_processes and --process_id go together")
  launched = is_given or _launched_in_several()
  if not launched and not _on_tpu_vm():
    return
  jax.config.update("jax_enable_preemption_service", saves_when_asked)
  try:
    jax.distributed.initialize(
      *given,
      heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
      shutdown_timeout_seconds=SHUTDOWN_SECONDS,
    )
  except (ValueError, RuntimeError) as error:
    if isinstance(error, ValueError) and not launched:
      return  # TPU chips without a cloud that says whose they are: a notebook's
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
    UserError: on every process, with the keys that differ.
  """
  if jax.process_count() == 1:
    return
  mine = {key: repr(value) for key, value in flatten(config).items()}
  all_of_them = _of_all(mine)
  first = all_of_them[0]
  differing = [
    f"{key}: {first.get(key, 'absent')} in process 0, {one.get(key, 'absent')} in "
    f"process {i}"
    for i, one in enumerate(all_of_them)
    for key in sorted(first.keys() | one.keys())
    if first.get(key) != one.get(key)
  ]
  if differing:
    raise UserError("the processes' configs differ:\n  " + "\n  ".join(differing))


def check_shared(folder: epath.Path) -> None:
  """Raises where the processes do not see one and the same folder.

  Args:
    folder: the run's, which the first process has made.

  Raises:
    UserError: on every process, with the numbers of those that do not see it.
  """
  if jax.process_count() == 1:
    return
  token = _of_all({"token": uuid.uuid4().hex})[0]["token"]
  mark = folder / f".seen-{token}"
  if is_first():
    mark.write_text(token)
  wait_for_all("the mark is there")
  deadline = time.monotonic() + MARK_SECONDS
  while not (seen := mark.exists()) and time.monotonic() < deadline:
    time.sleep(0.2)
  everyone = np.ravel(multihost_utils.process_allgather(np.int32(seen)))
  if is_first():
    mark.unlink()
  if blind := [str(i) for i in np.flatnonzero(everyone == 0)]:
    raise UserError(
      f"process {', '.join(blind)} does not see the folder of process 0, {folder}: the "
      "workdir is to be one that all share, such as gs://"
    )


def _of_all(value: dict[str, str]) -> list[dict[str, str]]:
  """What each process has, on all of them."""
  text = np.frombuffer(json.dumps(value).encode(), np.uint8)
  sizes = np.ravel(multihost_utils.process_allgather(np.int32(len(text))))
  padded = np.zeros(sizes.max(), np.uint8)
  padded[: len(text)] = text
  texts = np.asarray(multihost_utils.process_allgather(padded))
  return [json.loads(t[:n].tobytes()) for t, n in zip(texts, sizes, strict=True)]


def _launched_in_several() -> bool:
  """Whether Slurm or Open MPI has started several, of whom JAX knows how they meet."""
  sizes = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
  return any(int(os.environ.get(size, 1)) > 1 for size in sizes)


def _on_tpu_vm() -> bool:
  """Whether this machine has TPU chips, of which a pod's other machines have more."""
  platforms = os.environ.get("JAX_PLATFORMS", "") or "tpu"
  chips = glob.glob("/dev/accel*") + glob.glob("/dev/vfio/[0-9]*")
  has_compiler = importlib.util.find_spec("libtpu") is not None
  return "tpu" in platforms and bool(chips) and has_compiler
