"""From the data's host arrays to the devices, of which a process has some."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jgm.core.collectives import DATA_AXIS
from jgm.core.experiment import Dataset
from jgm.core.program import with_shardings
from jgm.core.state import PyTree


class Placing(NamedTuple):
  """How the arrays of a dataset come onto a mesh."""

  place: Callable[[PyTree], PyTree]  # this process's host arrays -> on the mesh
  abstract: Callable[[PyTree], PyTree]  # the same, their shapes and shardings alone
  rows: list[int] | None  # of each batch: what to read here; None: all that there is


def make_placing(data: Dataset | None, mesh: Mesh, *, whole: bool) -> Placing:
  """The way of a dataset's arrays to the devices.

  Args:
    data: the dataset, or None.
    mesh: with the axis `data`.
    whole: whether each device needs the whole batch.

  Returns:
    Placing. Property: together the processes read each row of a batch.
  """
  axis = None if data is None or whole else data.batch_axis
  if data is None or axis is None:
    replicated = NamedSharding(mesh, PartitionSpec())
    return Placing(
      lambda arrays: _put(arrays, replicated),
      lambda arrays: with_shardings(arrays, replicated),
      None,
    )
  over_data = NamedSharding(mesh, PartitionSpec(*[None] * axis, DATA_AXIS))
  rows = local_rows(mesh, data.batch_size)

  def global_shape(leaf: Any) -> tuple[int, ...]:
    return (*leaf.shape[:axis], data.batch_size, *leaf.shape[axis + 1 :])

  def abstract(arrays: PyTree) -> PyTree:
    of_all = lambda leaf: jax.ShapeDtypeStruct(global_shape(leaf), leaf.dtype)
    return with_shardings(jax.tree.map(of_all, arrays), over_data)

  def place(arrays: PyTree) -> PyTree:
    put = lambda leaf: _put_rows(leaf, rows, axis, global_shape(leaf), over_data)
    return jax.tree.map(put, arrays)

  return Placing(place, abstract, rows)


def gathered(tree: PyTree) -> PyTree:
  """Arrays of several processes, whole, on one device of this one.

  All processes call it alike. What one process has anyway is returned as it is.
  """

  def whole(leaf: jax.Array) -> jax.Array:
    if leaf.is_fully_addressable:
      return leaf
    if not leaf.is_fully_replicated:
      assert isinstance(leaf.sharding, NamedSharding)
      leaf = _replicated(leaf.sharding.mesh)(leaf)
    return leaf.addressable_data(0)

  return jax.tree.map(whole, tree)


@functools.cache
def _replicated(mesh: Mesh) -> Callable[[jax.Array], jax.Array]:
  return jax.jit(lambda leaf: leaf, out_shardings=NamedSharding(mesh, PartitionSpec()))


def local_rows(mesh: Mesh, batch_size: int) -> list[int]:
  """The rows of a batch [B], cut over `data`, that this process's devices hold."""
  sharding = NamedSharding(mesh, PartitionSpec(DATA_AXIS))
  held = sharding.addressable_devices_indices_map((batch_size,)).values()
  return sorted({row for part in held if part for row in range(batch_size)[part[0]]})


def _put(arrays: PyTree, sharding: NamedSharding) -> PyTree:
  if jax.process_count() == 1:
    return jax.device_put(arrays, sharding)
  # `device_put` would compare all of it with the other processes' first.
  return jax.tree.map(
    lambda leaf: jax.make_array_from_callback(
      np.shape(leaf), sharding, lambda part: np.asarray(leaf)[part]
    ),
    arrays,
  )


def _put_rows(
  leaf: np.ndarray,
  rows: list[int],
  axis: int,
  shape: tuple[int, ...],
  sharding: NamedSharding,
) -> jax.Array:
  """One array [*shape] out of each process's rows of it."""

  def part(index: tuple[slice, ...] | None) -> np.ndarray:
    assert index is not None
    # A device's rows follow one another, and so they do among the process's own.
    asked_for = range(shape[axis])[index[axis]]
    first = rows.index(asked_for[0])
    return leaf[(*index[:axis], slice(first, first + len(asked_for)))]

  return jax.make_array_from_callback(shape, sharding, part)
