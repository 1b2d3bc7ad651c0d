"""Where checkpoints lie: folders that are complete or not there, and arrays in them.

`00001000` is the folder of step 1000: `arrays/` in orbax's format and
`manifest/manifest.json`. `00001000_1` is the second save of that step, which replaces
the first once it is complete.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

_NAME = re.compile(r"(\d{8,})(?:_(\d+))?")
_LEFTOVER = re.compile(r"\d{8,}(_\d+)?\.(orbax-checkpoint-tmp|deleted)")
_COMMITTED = "commit_success.txt"  # orbax writes it last


class Folder(NamedTuple):
  """A complete checkpoint; sorts by age."""

  step: int
  save: int  # 0 for the first save of this step, 1 for the second, ...
  path: Any  # an etils.epath.Path: on a disk or in a bucket


def folders(directory: Any) -> list[Folder]:
  """The complete checkpoints in `directory`, oldest first; it may be missing."""
  matches = [(_NAME.fullmatch(path.name), path) for path in _listed(directory)]
  return sorted(
    Folder(int(match[1]), int(match[2] or 0), path)
    for match, path in matches
    if match and _is_complete(path)
  )


def agreed_folders(directory: Any) -> list[Folder]:
  """`folders` as the first process finds them: a shared disk may show others less."""
  found = folders(directory)
  if jax.process_count() == 1:
    return found
  saves = np.array([(each.step, each.save) for each in found], np.int32).reshape(-1, 2)
  number = int(multihost_utils.broadcast_one_to_all(np.int32(len(saves))))
  if number and jax.process_index() > 0:
    saves = np.zeros((number, 2), np.int32)
  saves = multihost_utils.broadcast_one_to_all(saves) if number else saves[:0]
  return [_folder(directory, int(step), int(save)) for step, save in saves]


def next_folder(directory: Any, step: int) -> Folder:
  """Where the next save of `step` goes, the same on every process."""
  # (the first process may be removing folders while the others list them)
  saves = [each.save for each in agreed_folders(directory) if each.step == step]
  return _folder(directory, step, max(saves, default=-1) + 1)


def _folder(directory: Any, step: int, save: int) -> Folder:
  name = f"{step:08d}_{save}" if save else f"{step:08d}"
  return Folder(step, save, _path(directory) / name)


def remove(folder: Folder) -> None:
  """Remove a checkpoint; killed halfway, it leaves nothing that looks complete."""
  if _in_bucket(folder.path):
    (folder.path / _COMMITTED).unlink()
    folder.path.rmtree()
  else:
    folder.path.rename(folder.path.parent / f"{folder.path.name}.deleted").rmtree()


def remove_leftovers(directory: Any) -> None:
  """Remove what a killed save or removal has left behind."""
  for path in _listed(directory):
    unfinished = _NAME.fullmatch(path.name) and not _is_complete(path)
    if unfinished or _LEFTOVER.match(path.name):
      path.rmtree()


def write(path: Any, arrays: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
  """Write a folder, whole or not at all. All processes of a pod call it together.

  Args:
    path: the folder; it must not exist.
    arrays: name -> jax.Array, sharded in any way, or numpy array; none of size 0.
    manifest: what goes beside them as JSON, the same on every process.
  """
  import orbax.checkpoint as ocp

  modes = ocp.options.AtomicityMode
  mode = modes.COMMIT_FILE if _in_bucket(path) else modes.ATOMIC_RENAME
  options = ocp.options.AtomicityOptions(mode=mode)
  items: dict[str, Any] = {"manifest": ocp.args.JsonSave(manifest)}
  if arrays:
    items["arrays"] = ocp.args.PyTreeSave(dict(arrays))
  with _orbax():
    handler = ocp.CompositeCheckpointHandler(
      arrays=ocp.PyTreeCheckpointHandler(),
      manifest=ocp.JsonCheckpointHandler(filename="manifest.json"),
    )
    with ocp.Checkpointer(handler, atomicity_options=options) as checkpointer:
      checkpointer.save(path, args=ocp.args.Composite(**items))


def read_manifest(path: Any) -> str:
  """The text of a folder's manifest."""
  return (path / "manifest" / "manifest.json").read_text()


def read_arrays(
  path: Any, wanted: Mapping[str, jax.ShapeDtypeStruct]
) -> dict[str, jax.Array]:
  """Some of a folder's arrays, read straight into the shardings of `wanted`."""
  import orbax.checkpoint as ocp

  if not wanted:
    return {}
  restore_args = {
    name: ocp.ArrayRestoreArgs(
      sharding=leaf.sharding, global_shape=leaf.shape, dtype=leaf.dtype
    )
    for name, leaf in wanted.items()
  }
  args = ocp.args.PyTreeRestore(
    dict.fromkeys(wanted, 0), restore_args=restore_args, partial_restore=True
  )
  with _orbax(), contextlib.closing(ocp.PyTreeCheckpointHandler()) as handler:
    arrays = handler.restore(path / "arrays", args=args)
  return {name: arrays[name] for name in wanted}


class _PatientLoop(asyncio.SelectorEventLoop):
  """An event loop that lets its tasks end before it is closed."""

  def close(self) -> None:
    if not self.is_closed() and (tasks := asyncio.all_tasks(self)):
      self.run_until_complete(asyncio.wait(tasks, timeout=60))
    super().close()


@contextlib.contextmanager
def _orbax() -> Iterator[None]:
  # Nothing of its log reaches the terminal: what goes wrong is raised. And where one
  # array fails, orbax closes its loop while the others are still under way, which they
  # report on the terminal and, in a save, go on in a folder that is being removed.
  logger, make_loop = logging.getLogger("absl"), asyncio.new_event_loop
  level = logger.level
  logger.setLevel(logging.CRITICAL + 1)
  asyncio.new_event_loop = _PatientLoop
  try:
    yield
  finally:
    asyncio.new_event_loop = make_loop
    logger.setLevel(level)


def _path(directory: Any) -> Any:
  from etils import epath

  path = epath.Path(directory)
  return path if _in_bucket(directory) else path.absolute()  # as orbax wants it


def _listed(directory: Any) -> list[Any]:
  root = _path(directory)
  return sorted(root.iterdir()) if root.exists() else []


def _in_bucket(path: Any) -> bool:
  return str(path).startswith("gs://")


def _is_complete(path: Any) -> bool:
  # A bucket has no atomic rename: there the file that is written last says that all is
  # there. On a disk the name says it, and losing that file does not lose a checkpoint.
  return not _in_bucket(path) or (path / _COMMITTED).exists()
