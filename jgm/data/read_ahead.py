"""Datasets that are read on the host, some steps before they are needed."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgm.core.experiment import Batch, Dataset
from jgm.core.state import Array, PyTree
from jgm.data.memory import (
  Levels,
  finish,
  level_shapes,
  mirrored_rows,
  whole_split,
)
from jgm.data.shuffle import batch_indices, batch_rows
from jgm.data.spec import DataSpec

Leaves = Mapping[str, np.ndarray]  # of some rows of one step: [R, ...]
ReadStep = Callable[[int, np.ndarray], Leaves]  # (step, rows [R] uint32) -> those

LAST_STEP = 2**31 - 1
NUM_THREADS = 8  # threads, not processes: a fork of a process that runs jax may hang


def make_read_ahead_dataset(
  name: str,
  spec: DataSpec,
  read: Callable[[Sequence[int]], Levels],
  read_split: Callable[[str], Levels],
  *,
  batch_size: int,
  seed: int,
  flip: bool = False,
) -> Dataset:
  """A dataset of images whose arrays are the batches of the steps that come next.

  Args:
    name: the dataset's name.
    spec: its shape and range.
    read: indices of training examples -> their grey levels and labels.
    read_split: "train" or "test" -> all of it.
    batch_size: the global batch size, B.
    seed: the seed of the order and of the flips.
    flip: whether half of the images, chosen anew in each step, are mirrored.

  Returns:
    A Dataset, its arrays as `read_ahead` gives them.
  """

  def read_step(step: int, rows: np.ndarray) -> Levels:
    chosen = batch_indices(
      step, rows, batch_size=batch_size, num_examples=spec.num_train, seed=seed
    )
    levels = dict(read(chosen))
    if flip:
      levels["mirrored"] = mirrored_rows(step, rows, seed=seed)
    return levels

  def batch(arrays: PyTree, step: Array) -> Batch:
    leaves = at_step(arrays, step)
    return finish(leaves["image"], leaves["label"], leaves.get("mirrored"), spec)

  def shapes(num_steps: int) -> PyTree:
    rows = (num_steps, batch_size)
    mirrored = {"mirrored": jax.ShapeDtypeStruct(rows, np.bool_)} if flip else {}
    return {**level_shapes(rows, spec), **mirrored}

  split = functools.cache(read_split)
  return Dataset(
    name=name,
    spec=spec,
    batch_size=batch_size,
    arrays=read_ahead(read_step, batch_size),
    batch=batch,
    split=lambda which: whole_split(split, which, spec),
    batch_axis=1,
    shapes=shapes,
  )


def read_ahead(read_step: ReadStep, batch_size: int) -> Callable[..., PyTree]:
  """The `arrays` of a Dataset that is read some steps before it is needed.

  Args:
    read_step: (step, rows [R] uint32) -> leaves [R, ...]; no row may depend on which
      others are asked for. Threads call it.
    batch_size: the global batch size, B.

  Returns:
    (first step, K steps, rows=None) -> leaves [K, R, ...]: step s is at [s % K], so
    that `at_step` needs to know no more than s. Property: rows that are read apart
    are bit for bit those of the whole batch.

  Raises:
    ValueError: if `rows` do not ascend within the batch.
  """

  @functools.cache
  def window(rows: tuple[int, ...]) -> Window:
    return Window(lambda step: read_step(int(step), np.array(rows, np.uint32)))

  def arrays(first_step: int, num_steps: int, rows: Any = None) -> PyTree:
    chosen = batch_rows(batch_size) if rows is None else np.asarray(rows)
    check_rows(chosen, batch_size)
    steps = window(tuple(chosen.tolist())).take(first_step, num_steps)
    order = [(row - first_step) % num_steps for row in range(num_steps)]
    return {key: np.stack([steps[i][key] for i in order]) for key in steps[0]}

  return arrays


def at_step(arrays: PyTree, step: Array) -> dict[str, Array]:
  """The leaves [B, ...] of a step, of what `read_ahead` gives."""
  return {key: jnp.asarray(leaf)[step % len(leaf)] for key, leaf in arrays.items()}


def check_rows(rows: np.ndarray, batch_size: int) -> None:
  """Raises a ValueError if rows [R] do not ascend within a batch, or there are none."""
  ascend = rows.ndim == 1 and np.all(np.diff(rows.astype(np.int64)) > 0)
  if not ascend or not len(rows) or rows[0] < 0 or rows[-1] >= batch_size:
    raise ValueError(
      f"rows {rows.tolist()} do not ascend within a batch of {batch_size}"
    )


class Window:
  """The steps from some step on, read ahead by Grain's threads.

  It remembers only to be fast: what it gives for a step never depends on what was asked
  before. Steps that were given are kept, because a call that ends early is followed by
  one that begins where it ended.
  """

  def __init__(self, read_step: Callable[[int], Leaves]):
    self._read_step = read_step
    self._first = -1  # the step of `_kept[0]`
    self._kept: list[Leaves] = []
    self._coming: Iterator[Leaves] = iter(())

  def take(self, first: int, number: int) -> list[Leaves]:
    """The steps first, ..., first + number - 1."""
    known = range(self._first, self._first + len(self._kept) + 1)
    if self._first >= 0 and first in known:
      self._kept = self._kept[first - self._first :]
    else:
      # The first step is read here and not by a thread: it opens the files, once, and
      # what is wrong with them is said as it is.
      self._kept = [self._read_step(first)]
      self._coming = self._start(first + 1, 2 * number)
    self._first = -1  # should a read fail, the next call begins afresh
    while len(self._kept) < number:
      self._kept.append(next(self._coming))
    self._first = first
    return self._kept[:number]

  def _start(self, first: int, depth: int) -> Iterator[Leaves]:
    import grain

    options = grain.ReadOptions(
      num_threads=min(NUM_THREADS, depth), prefetch_buffer_size=depth
    )
    steps = grain.MapDataset.range(first, LAST_STEP).map(self._read_step)
    return iter(steps.to_iter_dataset(options))
