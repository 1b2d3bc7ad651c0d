"""Two datasets as one: labelled examples of a source, examples alone of a target."""

import functools

from jgm.core.experiment import Batch, Dataset
from jgm.core.state import Array, PyTree
from jgm.data.errors import DatasetError
from jgm.data.shapes import shapes_of
from jgm.data.spec import DataSpec


def pair_domains(source: Dataset, target: Dataset) -> Dataset:
  """A source with labels beside a target without: unsupervised domain adaptation.

  Args:
    source: images [H, W, C] in memory, with labels.
    target: the same of another domain, with the same classes and batch size. Its order
      should be one of its own (another seed): else the rows of a batch may be the same
      digits twice.

  Returns:
    A Dataset of batches {"x": float32 [B, H, W, C], "label": int32 [B], "x_target":
    float32 [B, H, W, C]}; grey images are repeated where the other's are in colour.
    `split` also has "label_target", which is for measuring. No batch depends on it.

  Raises:
    DatasetError: if the images, the classes or the batch sizes do not go together, or
      the data are not held in memory.
  """
  spec = common_spec(source, target)
  if source.batch_size != target.batch_size:
    sizes = f"{source.batch_size} and {target.batch_size}"
    raise DatasetError(f"two domains have one batch size B each step, not {sizes}")

  @functools.cache
  def arrays() -> PyTree:
    return {"source": source.arrays(0, 1), "target": target.arrays(0, 1)}

  def shapes(num_steps: int) -> PyTree:
    parts = {"source": source, "target": target}
    return {name: shapes_of(part, num_steps) for name, part in parts.items()}

  def join(of_source: Batch, of_target: Batch) -> dict[str, Array]:
    return {
      "x": in_channels(of_source["x"], spec),
      "label": of_source["label"],
      "x_target": in_channels(of_target["x"], spec),
    }

  def batch(arrays: PyTree, step: Array) -> Batch:
    return join(
      source.batch(arrays["source"], step), target.batch(arrays["target"], step)
    )

  def split(which: str) -> Batch:
    of_source, of_target = source.split(which), target.split(which)
    return {**join(of_source, of_target), "label_target": of_target["label"]}

  return Dataset(
    name=f"{source.name} to {target.name}",
    spec=spec,
    batch_size=source.batch_size,
    arrays=lambda first_step, num_steps, rows=None: arrays(),
    batch=batch,
    split=split,
    shapes=shapes,
  )


def common_spec(source: Dataset, target: Dataset) -> DataSpec:
  """The target's spec, in as many channels as the domain with the more has.

  Raises:
    DatasetError: see `pair_domains`.
  """
  one, other = source.spec, target.spec
  both = f"{source.name} {list(one.shape)} and {target.name} {list(other.shape)}"
  if len(one.shape) != 3 or one.shape[:2] != other.shape[:2]:
    raise DatasetError(f"two domains are images of one size: {both}")
  if {one.shape[2], other.shape[2]} not in ({1}, {3}, {1, 3}):
    raise DatasetError(f"the images of two domains have 1 or 3 channels: {both}")
  if one.num_classes != other.num_classes or one.num_classes < 2:
    classes = f"{one.num_classes} and {other.num_classes}"
    raise DatasetError(f"{both} must have the same classes, and have {classes}")
  if source.batch_axis is not None or target.batch_axis is not None:
    raise DatasetError(f"{both} are not in memory: set config.data.in_memory=True")
  channels = max(one.shape[2], other.shape[2])
  return other._replace(shape=(*other.shape[:2], channels))


def in_channels(x: Array, spec: DataSpec) -> Array:
  """Images [B, H, W, 1 or C] with the spec's C channels."""
  return x if x.shape[-1] == spec.shape[-1] else x.repeat(spec.shape[-1], axis=-1)
