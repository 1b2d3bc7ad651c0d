"""A classifier of noisy images, which is told how noisy they are."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
from einops import reduce
from flax import linen as nn

from jgm.models.conv import Conv
from jgm.models.embedding import sinusoidal_embedding
from jgm.models.norm import GroupNorm
from jgm.models.unet import ResidualBlock

Array = jax.Array


class NoisyClassifier(nn.Module):
  """The way down of the U-Net, then the mean over what pixels are left.

  Reference: Dhariwal & Nichol 2021, section 4, which ends in attention instead of a
  mean. https://arxiv.org/abs/2105.05233
  """

  num_classes: int
  channels: int = 32  # at the full resolution
  channel_multipliers: tuple[int, ...] = (1, 2)  # one per resolution
  num_blocks: int = 1  # residual blocks per resolution
  dropout: float = 0.0
  dtype: Any = jnp.float32  # of the computation; parameters and output are float32

  @nn.compact
  def __call__(self, x: Array, t: Array, train: bool = False) -> Array:
    """The logits of images at times t.

    Args:
      x: [B, H, W, C] float.
      t: [B], int or float, of the size of step numbers (0 to 1000).
      train: whether dropout is on; then `rngs={"dropout": key}`.

    Returns:
      [B, num_classes] float32; all 0 at first.
    """
    chex.assert_rank(x, 4)
    chex.assert_shape(t, x.shape[:1])
    dense = lambda: nn.Dense(4 * self.channels, dtype=self.dtype)
    condition = nn.swish(dense()(sinusoidal_embedding(t, self.channels)))
    condition = nn.swish(dense()(condition))
    y = Conv(self.channels, dtype=self.dtype)(x)
    for level, multiplier in enumerate(self.channel_multipliers):
      if level:
        y = Conv(y.shape[-1], strides=2, dtype=self.dtype)(y)
      for _ in range(self.num_blocks):
        block = ResidualBlock(multiplier * self.channels, self.dropout, self.dtype)
        y = block(y, condition, train)
    pooled = reduce(nn.swish(GroupNorm()(y)), "b h w c -> b c", "mean")
    zeros = nn.initializers.zeros
    logits = nn.Dense(self.num_classes, kernel_init=zeros, dtype=self.dtype)(pooled)
    return logits.astype(jnp.float32)
