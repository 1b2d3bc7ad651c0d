"""Generators: networks from noise to examples."""

import math
from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from jgm.models.conv import Conv
from jgm.models.norm import GroupNorm
from jgm.models.pixels import doubled

Array = jax.Array
Bounds = tuple[float, float]


class DenseGenerator(nn.Module):
  """A network of dense layers from noise to examples of any shape."""

  shape: tuple[int, ...]  # of one example
  features: int = 256  # of each hidden layer
  num_layers: int = 2  # hidden ones
  bounds: Bounds | None = None  # (low, high) of its values; None: they have none
  dtype: Any = jnp.float32  # of the computation; parameters and output are float32

  @nn.compact
  def __call__(self, z: Array, train: bool = False) -> Array:
    """Examples [B, *shape] float32 for noise z [B, D]; alike in training and after."""
    del train
    chex.assert_rank(z, 2)
    y = z
    for _ in range(self.num_layers):
      y = nn.relu(nn.Dense(self.features, dtype=self.dtype)(y))
    y = nn.Dense(math.prod(self.shape), dtype=self.dtype, name="last")(y)
    return within(self.bounds, y.astype(jnp.float32).reshape(len(z), *self.shape))


class ConvGenerator(nn.Module):
  """A network from noise to images: dense to a small one, then doubled and convolved.

  As DCGAN's, but with a resize and a convolution in the place of a transposed one, and
  GroupNorm in the place of batch statistics.

  Reference: Radford et al. 2016, section 3. https://arxiv.org/abs/1511.06434
  """

  shape: tuple[int, int, int]  # of one image
  channels: int = 64  # at the full resolution; twice as many at each half of it
  num_doublings: int = 2
  bounds: Bounds | None = None  # (low, high) of its values; None: they have none
  dtype: Any = jnp.float32  # of the computation; parameters and output are float32

  @nn.compact
  def __call__(self, z: Array, train: bool = False) -> Array:
    """Images [B, H, W, C] float32 for noise z [B, D]; alike in training and after.

    Raises:
      ValueError: for a height or width that cannot be halved so often.
    """
    del train
    chex.assert_rank(z, 2)
    (height, width, out_channels), factor = self.shape, 2**self.num_doublings
    if height % factor or width % factor:
      raise ValueError(
        f"the generator doubles its images {self.num_doublings} times, so height and "
        f"width must be multiples of {factor}; they are {height} x {width}"
      )
    small = (height // factor, width // factor, self.channels * factor)
    y = nn.Dense(math.prod(small), dtype=self.dtype, name="first")(z)
    y = nn.relu(GroupNorm()(y.reshape(len(z), *small)))
    for level in reversed(range(self.num_doublings)):
      y = doubled(y)
      y = Conv(self.channels * 2**level, use_bias=False, dtype=self.dtype)(y)
      y = nn.relu(GroupNorm()(y))
    y = Conv(out_channels, dtype=self.dtype, name="last")(y)
    return within(self.bounds, y.astype(jnp.float32))


def within(bounds: Bounds | None, y: Array) -> Array:
  """Values of any size, put between the bounds by a sigmoid if there are bounds."""
  if bounds is None:
    return y
  low, high = bounds
  return low + (high - low) * jax.nn.sigmoid(y)
