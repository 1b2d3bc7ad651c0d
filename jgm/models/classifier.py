"""A classifier of small images in two parts: features, and what is read off them."""

from typing import Any

import jax
import jax.numpy as jnp
from einops import rearrange, reduce
from flax import linen as nn

from jgm.models.conv import Conv

Array = jax.Array


class ConvFeatures(nn.Module):
  """Convolution, ReLU and maximum over 2x2, once for each number of channels.

  Reference: Ganin et al. 2016, figure 4a, without its padding.
    https://arxiv.org/abs/1505.07818
  """

  channels: tuple[int, ...] = (32, 48)
  kernel_size: int = 5
  features: int | None = None  # of a dense layer behind them; None: there is none
  dtype: Any = jnp.float32  # of the computation; parameters and output are float32

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """The features of images.

    Args:
      x: [B, H, W, C] float, H and W divisible by 2 for each of `channels`.

    Returns:
      [B, H * W * last channels / 4^(number of channels)] float32.

    Raises:
      ValueError: if the images do not divide.
    """
    factor = 2 ** len(self.channels)
    if x.shape[1] % factor or x.shape[2] % factor:
      raise ValueError(f"images of {list(x.shape[1:3])} do not divide by {factor}")
    for channels in self.channels:
      x = nn.relu(Conv(channels, self.kernel_size, dtype=self.dtype)(x))
      x = reduce(x, "b (h i) (w j) c -> b h w c", "max", i=2, j=2)
    x = rearrange(x, "b h w c -> b (h w c)")
    if self.features is not None:
      x = nn.relu(nn.Dense(self.features, dtype=self.dtype)(x))
    return x.astype(jnp.float32)


class Head(nn.Module):
  """Dense layers with ReLU between them: from features to logits."""

  out_features: int
  features: int = 100  # of each hidden layer
  num_layers: int = 1  # hidden ones
  dtype: Any = jnp.float32  # of the computation; parameters and output are float32

  @nn.compact
  def __call__(self, features: Array) -> Array:
    """The logits, [B, out_features] float32, of features [B, D]."""
    for _ in range(self.num_layers):
      features = nn.relu(nn.Dense(self.features, dtype=self.dtype)(features))
    return nn.Dense(self.out_features, dtype=self.dtype)(features).astype(jnp.float32)
