"""What a checkpoint says of itself: each array's name, shape, dtype and checksum.

A manifest is plain JSON. It is compared with the running program before an array is
read, and with the arrays before one is used: no class of a framework is in the format.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jgm.core.state import Array, PyTree

FORMAT = 1  # raise it when an older program can no longer read what is written


class CheckpointError(Exception):
  """A checkpoint cannot be written, or there is none; says why, and where."""


class CheckpointMismatch(CheckpointError):
  """A sound checkpoint, but of another model."""


class CheckpointDamaged(CheckpointError):
  """There are checkpoints, and none of them is whole."""


class Entry(NamedTuple):
  """One array, as the manifest lists it."""

  shape: tuple[int, ...]
  dtype: str  # "float32"; "key<fry>" for typed keys, stored as their key data
  impl: str | None = None  # the generator of typed keys, as `jax.random` names it
  checksum: int | None = None  # `checksum` of the stored array

  def __str__(self) -> str:
    return f"{self.shape} {self.dtype}"


class Body(NamedTuple):
  """What a manifest holds."""

  step: int
  metadata: dict[str, Any]
  leaves: dict[str, Entry]


def named_leaves(tree: PyTree, prefix: str = "") -> dict[str, Any]:
  """The leaves of `tree` by their path, such as `params/down_0/conv/kernel`.

  Args:
    tree: any pytree; None, empty dicts and empty tuples have no leaves.
    prefix: what the tree itself is called; a bare leaf is called just that.

  Returns:
    path -> leaf, in the order of `jax.tree.leaves`.

  Raises:
    ValueError: two leaves have the same path.
  """
  named: dict[str, Any] = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    tail = jax.tree_util.keystr(path, simple=True, separator="/")
    name = "/".join(part for part in (prefix, tail) if part) or "value"
    if name in named:
      raise ValueError(f"two leaves of the state are both called {name}")
    named[name] = leaf
  return named


def is_key(leaf: Any) -> bool:
  """Whether `leaf`, an array or its shape, holds typed PRNG keys."""
  return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def describe(leaf: Any) -> Entry:
  """The shape and dtype of an array, or of a `jax.ShapeDtypeStruct`.

  Args:
    leaf: what has a shape and a dtype; typed keys that are there tell their generator.

  Returns:
    The entry, with no checksum.
  """
  array = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
  keys = isinstance(array, jax.Array) and is_key(array)
  impl = str(jax.random.key_impl(array)) if keys else None
  return Entry(tuple(array.shape), str(array.dtype), impl)


def _mixed(words: np.ndarray, positions: np.ndarray) -> int:
  # A bijection of each word for a given position (the finaliser of MurmurHash3, on the
  # word xor a multiple of its position), so that no change of one word goes unnoticed.
  mixed = positions * np.uint32(0x9E3779B1)
  mixed ^= words
  mixed ^= mixed >> np.uint32(16)
  mixed *= np.uint32(0x85EBCA6B)
  mixed ^= mixed >> np.uint32(13)
  mixed *= np.uint32(0xC2B2AE35)
  mixed ^= mixed >> np.uint32(16)
  return int(mixed.sum(dtype=np.uint64))


def _words(block: np.ndarray) -> np.ndarray:
  # uint32 [number of words]: the bit patterns; elements under 32 bits get a word each.
  size = block.dtype.itemsize
  flat = np.ascontiguousarray(block).reshape(-1)
  return flat.view(np.uint32) if size >= 4 else flat.view(f"u{size}").astype(np.uint32)


def _piece_checksum(
  piece: np.ndarray, start: tuple[int, ...], shape: tuple[int, ...]
) -> int:
  # The sum over a rectangular piece that begins at `start` of the whole array [shape].
  # It goes by rows of the first axis, as many as stay in the processor's cache.
  words = max(1, piece.dtype.itemsize // 4)
  strides = [math.prod(shape[axis + 1 :]) * words for axis in range(len(shape))]

  def ramp(first: int, size: int, stride: int) -> np.ndarray:
    # Positions are modulo 2**32, as the words are.
    return ((np.arange(size, dtype=np.uint64) + first) * stride).astype(np.uint32)

  inner = np.zeros(1, np.uint32)
  for axis in range(1, piece.ndim):
    ramped = ramp(start[axis], piece.shape[axis], strides[axis])
    inner = np.add.outer(inner, ramped).reshape(-1)
  inner = np.add.outer(inner, ramp(0, words, 1)).reshape(-1)
  step = max(1, 65536 // inner.size)
  total = 0
  for first in range(0, piece.shape[0], step):
    block = piece[first : first + step]
    rows = ramp(start[0] + first, block.shape[0], strides[0])
    total += _mixed(_words(block), np.add.outer(rows, inner).reshape(-1))
  return total


def checksum(array: Array | np.ndarray) -> int:
  """This process's part of an array's checksum: a sum of mixed words modulo 2**32.

  Each 32-bit word of the bit pattern is mixed with its position in the whole array and
  the results are added, so the order does not matter: each shard is summed where it
  is, whatever the mesh, and nothing is gathered or compiled. The checksum of an array
  that is spread over processes is the sum of their parts modulo 2**32.

  Args:
    array: a numpy array, or a jax.Array of any dtype but keys, sharded in any way.

  Returns:
    An integer in [0, 2**32). It changes with any change of bits within one word, for
    certain; with any other change but for one in 2**32.
  """
  if array.size == 0:
    return 0
  if isinstance(array, np.ndarray):
    pieces = [(array, (0,) * array.ndim)]
  else:
    pieces = [
      (np.asarray(shard.data), tuple(part.start or 0 for part in shard.index))
      for shard in array.addressable_shards
      if shard.replica_id == 0
    ]
  shape = tuple(array.shape)
  if not shape:
    pieces, shape = [(piece.reshape(1), (0,)) for piece, _ in pieces], (1,)
  return sum(_piece_checksum(*piece, shape) for piece in pieces) % 2**32


def seal(
  *, step: int, metadata: Mapping[str, Any], leaves: Mapping[str, Entry]
) -> dict[str, Any]:
  """A manifest as plain JSON values, with the hash that `unseal` asks for.

  Args:
    step: the step of the checkpoint.
    metadata: the caller's values.
    leaves: path -> entry, checksum included.

  Returns:
    {"sha256": hex digits, "body": {"format", "step", "metadata", "leaves"}}.

  Raises:
    TypeError: a value that JSON cannot hold.
  """
  body = {
    "format": FORMAT,
    "step": int(step),
    "metadata": dict(metadata),
    "leaves": {name: entry._asdict() for name, entry in leaves.items()},
  }
  plain = json.loads(json.dumps(body))  # as it will be read: tuples are lists
  return {"sha256": _digest(plain), "body": plain}


def unseal(text: str) -> Body:
  """A manifest that was read back.

  Args:
    text: the JSON of what `seal` returned.

  Returns:
    Its body.

  Raises:
    ValueError: it is not what was written.
    CheckpointError: it is of a later format than is known here.
  """
  sealed = json.loads(text)
  if not isinstance(sealed, dict) or sealed.keys() != {"sha256", "body"}:
    raise ValueError("this is no manifest")
  body = sealed["body"]
  if sealed["sha256"] != _digest(body):
    raise ValueError("the manifest does not match its own hash")
  if body["format"] > FORMAT:
    later = f"format {body['format']}, and this jgm reads up to {FORMAT}"
    raise CheckpointError(f"the checkpoint was written by a later jgm: {later}")
  leaves = {
    name: Entry(**{**entry, "shape": tuple(entry["shape"])})
    for name, entry in body["leaves"].items()
  }
  return Body(body["step"], body["metadata"], leaves)


def _digest(body: Any) -> str:
  canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
  return hashlib.sha256(canonical.encode()).hexdigest()


def difference(found: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> str | None:
  """How the leaves of a checkpoint differ from those of the running program.

  Args:
    found: path -> entry, of the checkpoint.
    wanted: path -> entry, of this run.

  Returns:
    None when paths, shapes and dtypes agree; else the first leaf that differs, with
    both shapes, and how many others do.
  """
  names = [*wanted, *(name for name in found if name not in wanted)]
  pairs = [(name, found.get(name), wanted.get(name)) for name in names]
  differ = [
    (name, there, here)
    for name, there, here in pairs
    if there is None or here is None or there[:2] != here[:2]
  ]
  if not differ:
    return None
  name, there, here = differ[0]
  if there and here and there.dtype == here.dtype:
    line = f"{name}: checkpoint {there.shape}, this run {here.shape}"
  else:
    line = f"{name}: checkpoint {there or 'has none'}, this run {here or 'has none'}"
  return line + (f" ({len(differ) - 1} other leaves differ)" if differ[1:] else "")
