"""Saves step 2 over step 1 again and again, each time killed at another moment.

Run by test_checkpoint.py: `killed_save.py DIRECTORY MOMENTS`. One import serves all:
each save runs in a fork, on a copy of the folder of its own.
"""

import os
import pathlib
import shutil
import signal
import sys

import numpy as np
import orbax.checkpoint  # noqa: F401

from jgm.core import checkpoint

EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


def state(step):
  generator = np.random.default_rng(step)
  return {"a": generator.normal(size=(50, 40)).astype(np.float32), "b": np.int32(step)}


def save_killed_at(moment: int, directory: pathlib.Path) -> int:
  """Saves in a fork and kills it at its `moment`-th act on disk."""
  reader, writer = os.pipe()
  child = os.fork()
  if child == 0:
    seen = 0

    def kill(event, args):
      nonlocal seen
      here = event in EVENTS and (str(directory) in str(args[0]) or event != "open")
      seen += here
      if here and seen == moment:
        os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill)
    checkpoint.save(directory, state(2), step=2, max_to_keep=1)
    os.write(writer, str(seen).encode())
    os._exit(0)
  os.close(writer)
  _, status = os.waitpid(child, 0)
  count = os.read(reader, 100)
  os.close(reader)
  assert os.WIFSIGNALED(status) == (moment > 0), status
  return int(count or 0)


if __name__ == "__main__":
  root, moments = pathlib.Path(sys.argv[1]), int(sys.argv[2])
  first = os.fork()  # jax must not start its threads in the process that forks
  if first == 0:
    checkpoint.save(root / "before", state(1), step=1)
    os._exit(0)
  assert os.waitpid(first, 0)[1] == 0
  shutil.copytree(root / "before", root / "whole")
  events = save_killed_at(0, root / "whole")
  for moment in np.linspace(1, events, moments).astype(int):
    shutil.copytree(root / "before", root / f"killed_{moment}")
    save_killed_at(moment, root / f"killed_{moment}")
  print(events)
