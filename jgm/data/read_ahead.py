"""Datasets that are read on the host, some steps before they are needed."""

import functools
from collections.abc import Callable, Iterator, Sequence

import jax.numpy as jnp
import numpy as np

from jgm.core.experiment import Batch, Dataset
from jgm.core.state import Array, PyTree
from jgm.data.memory import Levels, finish, mirrored_rows, whole_split
from jgm.data.shuffle import batch_indices
from jgm.data.spec import DataSpec

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
  rows: tuple[int, int] | None = None,
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
    rows: read only these rows [from, to) of each batch, such as a process's own.

  Returns:
    A Dataset whose arrays have leaves [K, rows, ...]: step s is at [s % K], so that
    `batch` needs to know no more than s.
  """
  first, last = rows or (0, batch_size)
  if not 0 <= first < last <= batch_size:
    raise ValueError(f"rows {rows} are not a range within a batch of {batch_size}")
  own_rows = np.arange(first, last, dtype=np.uint32)

  def read_step(step: int) -> Levels:
    chosen = batch_indices(
      int(step),
      own_rows,
      batch_size=batch_size,
      num_examples=spec.num_train,
      seed=seed,
    )
    levels = dict(read(chosen))
    if flip:
      levels["mirrored"] = mirrored_rows(int(step), own_rows, seed=seed)
    return levels

  window = Window(read_step)

  def arrays(first_step: int, num_steps: int) -> PyTree:
    steps = window.take(first_step, num_steps)
    order = [(row - first_step) % num_steps for row in range(num_steps)]
    return {key: np.stack([steps[i][key] for i in order]) for key in steps[0]}

  def batch(arrays: PyTree, step: Array) -> Batch:
    row = step % arrays["label"].shape[0]
    leaves = {key: jnp.asarray(leaf)[row] for key, leaf in arrays.items()}
    return finish(leaves["image"], leaves["label"], leaves.get("mirrored"), spec)

  split = functools.cache(read_split)
  return Dataset(
    name=name,
    spec=spec,
    batch_size=batch_size,
    arrays=arrays,
    batch=batch,
    split=lambda which: whole_split(split, which, spec),
    batch_axis=1,
  )


class Window:
  """The steps from some step on, read ahead by Grain's threads.

  It remembers only to be fast: what it gives for a step never depends on what was asked
  before. Steps that were given are kept, because a call that ends early is followed by
  one that begins where it ended.
  """

  def __init__(self, read_step: Callable[[int], Levels]):
    self._read_step = read_step
    self._first = -1  # the step of `_kept[0]`
    self._kept: list[Levels] = []
    self._coming: Iterator[Levels] = iter(())

  def take(self, first: int, number: int) -> list[Levels]:
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

  def _start(self, first: int, depth: int) -> Iterator[Levels]:
    import grain

    options = grain.ReadOptions(
      num_threads=min(NUM_THREADS, depth), prefetch_buffer_size=depth
    )
    steps = grain.MapDataset.range(first, LAST_STEP).map(self._read_step)
    return iter(steps.to_iter_dataset(options))
