"""Trained networks on disk: written whole or not at all, made again when damaged."""

import hashlib
import pathlib
from collections.abc import Callable

import flax.serialization
from absl import logging

from jgm.cache import cache_dir, write_whole
from jgm.core.state import PyTree

DIGEST_BYTES = 32


def load_or_make(name: str, make: Callable[[], PyTree]) -> PyTree:
  """The tree kept under a name; made, and kept, where there is none or it is damaged.

  Args:
    name: the file's name; it must say everything the tree depends on.
    make: makes the tree; called only when it cannot be read.

  Returns:
    The tree: nested dicts of host arrays.
  """
  path = cache_dir("judges") / f"{name}.msgpack"
  try:
    return read(path)
  except FileNotFoundError:
    pass
  except (OSError, ValueError) as error:
    logging.warning("%s cannot be used (%s): training it again", path, error)
  tree = make()
  try:
    write(path, tree)
  except OSError as error:
    logging.warning("%s cannot be written (%s): it will be trained again", path, error)
  return tree


def read(path: pathlib.Path) -> PyTree:
  """A tree as `write` left it.

  Args:
    path: the file.

  Returns:
    The tree: nested dicts of host arrays.

  Raises:
    ValueError: if a byte of it has changed.
    OSError: if it cannot be read.
  """
  content = path.read_bytes()
  expected, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
  if hashlib.sha256(payload).digest() != expected:
    raise ValueError("its checksum does not match")
  return flax.serialization.msgpack_restore(payload)


def write(path: pathlib.Path, tree: PyTree) -> None:
  """Writes a tree of arrays behind its checksum, whole or not at all.

  Args:
    path: the file.
    tree: nested dicts of host arrays.

  Raises:
    OSError: if it cannot be written.
  """
  payload = flax.serialization.msgpack_serialize(tree)
  write_whole(path, hashlib.sha256(payload).digest() + payload)
