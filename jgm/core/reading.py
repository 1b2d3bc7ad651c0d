"""Reading a checkpoint: what is not bit for bit as it was written is damaged.

The processes of a pod agree on it: damaged for one of them is damaged for all.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from jgm.core import manifest, storage
from jgm.core.manifest import CheckpointError, Entry

T = TypeVar("T")


class Damage(Exception):
  """This checkpoint is damaged; says how."""


def read_manifest(folder: storage.Folder) -> manifest.Body:
  """A folder's manifest, or Damage."""
  body = _on_every_process(lambda: manifest.unseal(storage.read_manifest(folder.path)))
  if body.step != folder.step:
    raise Damage(f"its manifest is of step {body.step}")
  return body


def read_arrays(
  folder: storage.Folder, wanted: Mapping[str, Any], entries: Mapping[str, Entry]
) -> list[Any]:
  """The leaves that `wanted` describes, in its order, or Damage.

  Args:
    folder: the checkpoint.
    wanted: path -> an array's shape, dtype and perhaps sharding.
    entries: what the manifest says of the same paths.

  Returns:
    The arrays in the shardings of `wanted`, whole or split.
  """
  structs = {name: _stored_struct(leaf) for name, leaf in wanted.items()}
  filled = {name: leaf for name, leaf in structs.items() if leaf.size}
  read = _on_every_process(lambda: storage.read_arrays(folder.path, filled))
  arrays = {
    name: read[name]
    if leaf.size
    else jnp.zeros(leaf.shape, leaf.dtype, device=leaf.sharding)
    for name, leaf in structs.items()
  }
  sums = checksums(arrays)
  differ = [name for name in arrays if sums[name] != entries[name].checksum]
  if _summed([len(differ)])[0]:
    name = differ[0] if differ else "an array of another process"
    raise Damage(f"{name} is not what was written")
  return [
    jax.random.wrap_key_data(array, impl=entries[name].impl)
    if entries[name].impl
    else array
    for name, array in arrays.items()
  ]


def checksums(arrays: Mapping[str, Any]) -> dict[str, int]:
  """The checksum of each array: over all processes where each has a part of it."""
  sums = {name: manifest.checksum(_own(array)) for name, array in arrays.items()}
  spread = lambda array: not getattr(_own(array), "is_fully_addressable", True)
  shared = [name for name, array in arrays.items() if spread(array)]
  over_all = _summed([sums[name] for name in shared]) if shared else []
  return sums | dict(zip(shared, over_all, strict=True))


def _own(array: Any) -> Any:
  # Of what each process has as a whole it looks at its own, not at the first one's.
  if getattr(array, "is_fully_replicated", False):
    return array.addressable_data(0)
  return array


def in_short(error: BaseException) -> str:
  """One line on what tensorstore says in twenty."""
  said = " ".join(str(error).split()).partition(" [tensorstore_spec")[0]
  text = f"{type(error).__name__}: {said}"
  # What happened stands first, and why it did last.
  return text if len(text) < 300 else f"{text[:130]} ... {text[-160:]}"


def _on_every_process(read: Callable[[], T]) -> T:
  # What cannot be read is damaged, for all processes when for one of them. Too little
  # memory or no permission says nothing about the checkpoint and goes on as it is.
  value, reason = None, None
  try:
    value = read()
  except (CheckpointError, MemoryError, jax.errors.JaxRuntimeError):
    raise
  except Exception as error:
    if isinstance(error, PermissionError) or "PERMISSION_DENIED" in str(error):
      raise CheckpointError(f"cannot read a checkpoint: {in_short(error)}") from error
    reason = in_short(error)
  if _summed([reason is not None])[0]:
    raise Damage(reason or "another process cannot read it")
  return value  # type: ignore[return-value]


def _summed(values: Sequence[int]) -> list[int]:
  # Over the processes, modulo 2**32. A collective, like all that calls it.
  if jax.process_count() == 1:
    return list(values)
  gathered = multihost_utils.process_allgather(np.array(values, np.uint32))
  return (np.asarray(gathered, np.uint64).sum(0) % 2**32).tolist()


def _stored_struct(leaf: Any) -> jax.ShapeDtypeStruct:
  struct = jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
  if manifest.is_key(leaf):
    # A sharding of the keys is one of their data too, whose last axis it leaves whole.
    struct = jax.eval_shape(jax.random.key_data, struct)
  sharding = getattr(leaf, "sharding", None)
  if sharding is None:
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  return jax.ShapeDtypeStruct(struct.shape, struct.dtype, sharding=sharding)
