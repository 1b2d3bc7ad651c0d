"""What one example is: its shape, its value range, its number of grey levels.

Everything that turns a value into a grey level, or a log-likelihood into bits per
dimension, is here and nowhere else, so that neither can be off by a constant.
"""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jgm.core.state import Array

Numbers = Array | np.ndarray


class DataSpec(NamedTuple):
  """The shape and the value range of one example.

  Grey level k in 0 .. levels-1 stands for the value low + k * bin_width, the middle of
  its bin. Dequantised values therefore reach half a bin below `low` and above `high`.
  """

  shape: tuple[int, ...]  # of one example: (H, W, C), or (D,)
  levels: int | None = None  # the number of grey levels; None for continuous values
  low: float = -1.0  # the value of level 0; where continuous, about where data begin
  high: float = 1.0  # the value of level levels - 1; or about where data end
  num_classes: int = 0  # labels are 0 .. num_classes - 1; 0 where there are none
  num_train: int = 0  # the number of examples of split("train")
  num_test: int = 0  # the number of examples of split("test")
  class_names: tuple[str, ...] = ()  # one per class, or ()

  @property
  def dimensions(self) -> int:
    """The number of values of one example, D."""
    return math.prod(self.shape)

  @property
  def bin_width(self) -> float:
    """The distance between two neighbouring grey levels.

    Raises:
      ValueError: if the values are continuous or there are fewer than two levels.
    """
    if self.levels is None or self.levels < 2:
      raise ValueError(f"data with levels={self.levels} have no bin width")
    return (self.high - self.low) / (self.levels - 1)


def is_image(shape: tuple[int, ...]) -> bool:
  """Whether examples of a shape are images, grey or in colour: [H, W, 1 or 3]."""
  return len(shape) == 3 and shape[2] in (1, 3)


def from_levels(levels: Numbers, spec: DataSpec) -> Numbers:
  """The values in [low, high] of integer grey levels.

  Args:
    levels: [...] int, in 0 .. spec.levels - 1. A numpy or a jax array.
    spec: the range and the number of levels.

  Returns:
    [...] float32, of the same kind of array. Property: 0 gives `low` exactly.
  """
  scale = np.float32(spec.bin_width)
  values = levels.astype(np.float32) * scale + np.float32(spec.low)
  # rounding must not put the last level an ulp outside of the range
  return values.clip(np.float32(spec.low), np.float32(spec.high))


def to_levels(x: Numbers, spec: DataSpec) -> Numbers:
  """The nearest grey levels of values in the model's range.

  Args:
    x: [...] float. Values beyond the range get the first or the last level.
    spec: the range and the number of levels.

  Returns:
    [...] int32, in 0 .. spec.levels - 1. Property: the inverse of `from_levels`, and of
    `dequantise` too.
  """
  # the upper edge of a bin belongs to the next one, as `dequantise` draws it
  nearest = (x - np.float32(spec.low)) / np.float32(spec.bin_width) + np.float32(0.5)
  floor = jnp.floor if isinstance(x, jax.Array) else np.floor
  return floor(nearest.clip(0, spec.levels - 0.5)).astype(np.int32)  # type: ignore


def to_uint8(x: Numbers, spec: DataSpec) -> np.ndarray:
  """Pictures of values in the model's range: `low` is black, `high` is white.

  Args:
    x: [...] float, values beyond the range are clipped.
    spec: the range.

  Returns:
    [...] uint8, in 0 .. 255, on the host.
  """
  unit = (np.asarray(x, np.float32) - spec.low) / (spec.high - spec.low)
  return np.round(unit.clip(0.0, 1.0) * 255.0).astype(np.uint8)


def dequantise(x: Array, spec: DataSpec, key: Array) -> Array:
  """Values spread uniformly over the bins of their grey levels.

  Args:
    x: [B, ...] float, each the middle of a bin, as `from_levels` gives.
    spec: the range and the number of levels.
    key: typed key [].

  Returns:
    [B, ...] float32, x + bin_width * (u - 1/2) with u uniform on [0, 1). Property:
    `to_levels` gives back the grey levels.

  Reference: Theis, van den Oord, Bethge (2016), section 3.1.
    https://arxiv.org/abs/1511.01844
  """
  noise = jax.random.uniform(key, x.shape, jnp.float32, -0.5, 0.5)
  noisy = x + noise * np.float32(spec.bin_width)
  # in float32 about one draw in 2^17 is rounded onto the edge of the next bin
  kept = to_levels(noisy, spec) == to_levels(x, spec)
  return jnp.where(kept, noisy, x)


def bits_per_dim(log_prob: Array, spec: DataSpec, *, discrete: bool) -> Array:
  """The negative log-likelihood in bits per dimension.

  A density p over dequantised values bounds the mass of a grey level x from below, as
  E_u log p(x + u) + D log(bin_width) <= log P(x). So whatever the range, a model that
  is uniform over all levels has log2(levels) bits.

  Args:
    log_prob: [B] float, in nats: log P(x) of the grey levels where `discrete`, else the
      log-density of the dequantised values in the model's range.
    spec: the range and the number of levels.
    discrete: whether `log_prob` is a log mass and not a log-density.

  Returns:
    [B] float. Property: exactly 8 for a uniform model over 256 levels, for any range.

  Raises:
    ValueError: if the values are continuous: a density has no bits; report nats.

  Reference: Theis, van den Oord, Bethge (2016), eq. 5. https://arxiv.org/abs/1511.01844
  """
  chex.assert_rank(log_prob, 1)
  if spec.levels is None:
    raise ValueError("continuous data have no bits per dimension: report nats")
  bins = 0.0 if discrete else math.log(spec.bin_width)
  return -(log_prob / spec.dimensions + bins) / math.log(2.0)
