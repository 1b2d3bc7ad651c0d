"""Checkpoints: written whole or not at all, and checked bit by bit before use.

Every function here is called by all processes of a pod alike. `jgm.core.storage` says
where a checkpoint lies, `jgm.core.manifest` what it says of itself, `jgm.core.reading`
whether that is true.
"""

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from jgm.core import manifest, reading, storage
from jgm.core.manifest import CheckpointDamaged, CheckpointError, CheckpointMismatch
from jgm.core.state import PyTree

__all__ = [
  "CheckpointDamaged",
  "CheckpointError",
  "CheckpointMismatch",
  "Restored",
  "clean_up",
  "restore",
  "save",
  "steps",
]

_warn = logging.getLogger("jgm").warning


class Restored(NamedTuple):
  """A checkpoint that was read back and found whole."""

  state: PyTree
  step: int
  metadata: dict[str, Any]


def save(
  directory: Any,
  state: PyTree,
  *,
  step: int,
  metadata: Mapping[str, Any] | None = None,
  max_to_keep: int = 2,
  protect: Collection[int] = (),
) -> None:
  """Write `state` as the newest checkpoint, then remove those no longer wanted.

  The old ones are touched only when the new one is complete, so a kill or a full disk
  at any moment leaves the previous one whole. Checkpoints of later steps are removed
  too: `restore` has refused them, or the caller went back on purpose.

  Args:
    directory: the folder of the run's checkpoints, local or `gs://`; made if missing.
    state: a pytree of arrays of any shape and dtype, typed keys included.
    step: the number of steps that made the state.
    metadata: plain values that JSON can hold, given back by `restore`.
    max_to_keep: how many of the newest steps stay, at least 1. With 1 there is nothing
      to go back to when the disk damages it.
    protect: steps that stay besides: the best.

  Raises:
    CheckpointError: it could not be written; the message names the folder.
    TypeError: a leaf or a metadata value that cannot be stored.
    ValueError: `max_to_keep` or `step` out of range, or two leaves of one name.
  """
  if max_to_keep < 1 or step < 0:
    raise ValueError(f"max_to_keep is {max_to_keep} and step {step}: at least 1 and 0")
  leaves = manifest.named_leaves(state)
  arrays = {name: _stored(name, leaf) for name, leaf in leaves.items()}
  if jax.process_count() == 1:
    arrays = jax.device_get(arrays)  # orbax writes numpy arrays twice as fast
  sums = reading.checksums(arrays)
  entries = {
    name: manifest.describe(leaf)._replace(checksum=sums[name])
    for name, leaf in leaves.items()
  }
  sealed = manifest.seal(step=step, metadata=metadata or {}, leaves=entries)
  clean_up(directory)
  with _write_errors(directory, f"write the checkpoint of step {step} in {directory}"):
    new = storage.next_folder(directory, step)
    storage.write(new.path, {k: v for k, v in arrays.items() if v.size}, sealed)
    _on_first_process(lambda: _remove_unwanted(directory, new, max_to_keep, protect))


def restore(
  directory: Any,
  like: PyTree,
  *,
  step: int | None = None,
  field: str = "",
  warn: Callable[[str], None] = _warn,
) -> Restored:
  """The newest checkpoint whose every bit is as it was written.

  Args:
    directory: the folder of the run's checkpoints.
    like: the state to expect, as `jax.eval_shape` gives it. Where a leaf has a
      `sharding` its array is read straight into it, whatever mesh wrote it.
    step: take this step or none; by default a damaged one is passed over for the one
      before it.
    field: read this field of the state only ("ema_params"), of which `like` is then
      the structure.
    warn: is told which checkpoint is damaged, and why.

  Returns:
    The state (or the field), its step and the metadata.

  Raises:
    CheckpointMismatch: it is of another model; names the first leaf that differs. The
      older ones are not tried, and nothing is read.
    CheckpointDamaged: none is whole.
    CheckpointError: there is none, or it may not be read.
  """
  wanted = manifest.named_leaves(like, field)
  expected = {name: manifest.describe(leaf) for name, leaf in wanted.items()}

  def load(folder: storage.Folder) -> Restored:
    body = reading.read_manifest(folder)
    entries = {
      name: entry
      for name, entry in body.leaves.items()
      if not field or name == field or name.startswith(f"{field}/")
    }
    if difference := manifest.difference(entries, expected):
      raise CheckpointMismatch(f"{folder.path} does not fit this run: {difference}")
    arrays = reading.read_arrays(folder, wanted, entries)
    state = jax.tree.unflatten(jax.tree.structure(like), arrays)
    return Restored(state, body.step, body.metadata)

  return _newest_whole(directory, step, load, warn)


def steps(directory: Any) -> list[int]:
  """The steps that have a complete checkpoint, oldest first, damaged or not.

  Args:
    directory: the folder of the run's checkpoints; it may be missing.

  Returns:
    The steps. None at all means that nothing was ever saved here.
  """
  return sorted({folder.step for folder in storage.folders(directory)})


def clean_up(directory: Any) -> None:
  """Remove what a killed save has left. For the one who writes: never beside a save.

  Args:
    directory: the folder of the run's checkpoints; it may be missing.
  """
  with _write_errors(directory, f"clean up {directory}"):
    _on_first_process(lambda: storage.remove_leftovers(directory))


def _on_first_process(act: Callable[[], None]) -> None:
  # The others wait, so that all find the same folders afterwards.
  try:
    if jax.process_index() == 0:
      act()
  finally:
    if jax.process_count() > 1:
      multihost_utils.sync_global_devices("jgm.core.checkpoint")


def _remove_unwanted(
  directory: Any, new: storage.Folder, max_to_keep: int, protect: Collection[int]
) -> None:
  newest = [step for step in steps(directory)[::-1] if step < new.step]
  kept = {*newest[: max_to_keep - 1], *protect} - {new.step}
  for folder in storage.folders(directory):
    if folder != new and folder.step not in kept:
      storage.remove(folder)


@contextlib.contextmanager
def _write_errors(directory: Any, action: str) -> Iterator[None]:
  try:
    yield
  except (OSError, ValueError, RuntimeError) as error:
    if jax.process_count() == 1:  # else others may still be writing: at the next start
      with contextlib.suppress(OSError):
        storage.remove_leftovers(directory)
    raise CheckpointError(f"cannot {action}: {reading.in_short(error)}") from error


def _newest_whole(
  directory: Any,
  step: int | None,
  load: Callable[[storage.Folder], Restored],
  warn: Callable[[str], None],
) -> Restored:
  found = [f for f in storage.agreed_folders(directory) if step in (None, f.step)][::-1]
  if not found:
    which = "checkpoint" if step is None else f"checkpoint of step {step}"
    raise CheckpointError(f"there is no {which} in {directory}")
  reasons = []
  for folder in found:
    try:
      return load(folder)
    except reading.Damage as damage:
      reasons.append(f"the checkpoint {folder.path} is damaged: {damage}")
      if jax.process_index() == 0 and folder != found[-1]:
        warn(f"{reasons[-1]}. Going back to the one before it.")
  raise CheckpointDamaged("; ".join(reasons) + ". There is none to go back to.")


def _stored(name: str, leaf: Any) -> Any:
  if isinstance(leaf, jax.Array):
    return jax.random.key_data(leaf) if manifest.is_key(leaf) else leaf
  array = np.asarray(leaf)
  number = array.dtype == bool or jnp.issubdtype(array.dtype, np.number)
  if not number or jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
    kind = type(leaf).__name__
    raise TypeError(f"{name} is a {kind} of dtype {array.dtype}, not a jax array")
  return array
