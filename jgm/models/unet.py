"""The U-Net of denoising diffusion."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from jgm.models.attention import AttentionBlock
from jgm.models.conv import Conv
from jgm.models.embedding import sinusoidal_embedding
from jgm.models.norm import GroupNorm
from jgm.models.pixels import doubled, spread

Array = jax.Array


class ResidualBlock(nn.Module):
  """x plus two convolutions, told the time and the class in between.

  The second convolution starts at zero, so the block starts as its shortcut.
  """

  features: int
  dropout: float = 0.0
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array, condition: Array, train: bool) -> Array:
    """x [B, H, W, C] and condition [B, D] give [B, H, W, features]."""
    # The projected condition brings the bias of the first convolution.
    y = Conv(self.features, use_bias=False, dtype=self.dtype)(nn.swish(GroupNorm()(x)))
    shift = nn.Dense(self.features, dtype=self.dtype)(condition)
    y = nn.swish(GroupNorm()(y + spread(shift, y)))
    y = nn.Dropout(self.dropout, deterministic=not train)(y)
    y = Conv(self.features, kernel_init=nn.initializers.zeros, dtype=self.dtype)(y)
    if x.shape[-1] != self.features:
      x = nn.Dense(self.features, dtype=self.dtype, name="shortcut")(x)
    return x + y


class UNet(nn.Module):
  """A network from images, times and classes to images of the same size.

  Down from the full resolution by halves, up again, with a skip connection at every
  step; residual blocks all along, attention where `attention_resolutions` says so. The
  last convolution starts at zero, and so does the output.

  Reference: Ho et al. 2020, appendix B. https://arxiv.org/abs/2006.11239
  """

  channels: int = 32  # at the full resolution
  channel_multipliers: tuple[int, ...] = (1, 2)  # one per resolution
  num_blocks: int = 1  # residual blocks per resolution on the way down; one more up
  attention_resolutions: tuple[int, ...] = (4,)  # heights of the image that attend
  num_heads: int = 1
  num_classes: int | None = None  # label = num_classes means: no class given
  dropout: float = 0.0
  out_channels: int | None = None  # None: those of x
  dtype: Any = jnp.float32  # of the computation; parameters and output are float32
  remat: bool = False  # recompute the blocks in the backward pass to save memory

  @nn.compact
  def __call__(
    self, x: Array, t: Array, label: Array | None = None, train: bool = False
  ) -> Array:
    """The network's output for images at times t.

    Args:
      x: [B, H, W, C] float. H and W divide by 2 per resolution after the first.
      t: [B], int or float, of the size of step numbers (0 to 1000).
      label: [B] int in [0, num_classes]; None where there are no classes, and for all
        unconditional where there are.
      train: whether dropout is on; then `rngs={"dropout": key}`.

    Returns:
      [B, H, W, out_channels] float32.

    Raises:
      ValueError: for a size that cannot be halved, or a label without classes.
    """
    self._check(x, t, label)
    condition = self._condition(t, label)

    def block(x: Array, features: int, name: str, attends: bool) -> Array:
      x = self._residual(features, name)(x, condition, train)
      return self._attention(f"{name}_attention")(x) if attends else x

    widths = [self.channels * m for m in self.channel_multipliers]
    levels = list(enumerate(widths))
    y = Conv(self.channels, dtype=self.dtype, name="first")(x)
    skips = [y]
    for level, width in levels:
      if level:
        shrink = Conv(y.shape[-1], strides=2, dtype=self.dtype, name=f"shrink_{level}")
        y = shrink(y)
        skips.append(y)
      for i in range(self.num_blocks):
        attends = y.shape[1] in self.attention_resolutions
        y = block(y, width, f"down_{level}_{i}", attends)
        skips.append(y)

    y = block(y, widths[-1], "middle_0", True)
    y = block(y, widths[-1], "middle_1", False)

    for level, width in reversed(levels):
      for i in range(self.num_blocks + 1):
        y = jnp.concatenate([y, skips.pop()], axis=-1)
        attends = y.shape[1] in self.attention_resolutions
        y = block(y, width, f"up_{level}_{i}", attends)
      if level:
        y = doubled(y)
        y = Conv(width, dtype=self.dtype, name=f"grow_{level}")(y)

    y = nn.swish(GroupNorm()(y))
    out_channels = x.shape[-1] if self.out_channels is None else self.out_channels
    zeros = nn.initializers.zeros
    y = Conv(out_channels, kernel_init=zeros, dtype=self.dtype, name="last")(y)
    return y.astype(jnp.float32)

  # Names are given, since `remat` would change those that flax makes, and with them the
  # checkpoints and the dropout.

  def _residual(self, features: int, name: str) -> nn.Module:
    make = nn.remat(ResidualBlock, static_argnums=(3,)) if self.remat else ResidualBlock
    return make(features, self.dropout, self.dtype, name=name)

  def _attention(self, name: str) -> nn.Module:
    make = nn.remat(AttentionBlock) if self.remat else AttentionBlock
    return make(self.num_heads, self.dtype, name=name)

  def _condition(self, t: Array, label: Array | None) -> Array:
    """The time and the class as one vector [B, 4 * channels], through a swish."""
    dense = lambda: nn.Dense(4 * self.channels, dtype=self.dtype)
    condition = dense()(sinusoidal_embedding(t, self.channels))
    condition = dense()(nn.swish(condition))
    if self.num_classes is not None:
      if label is None:
        label = jnp.full(t.shape, self.num_classes)
      table = nn.Embed(self.num_classes + 1, 4 * self.channels, dtype=self.dtype)
      condition += table(label)
    return nn.swish(condition)

  def _check(self, x: Array, t: Array, label: Array | None) -> None:
    # Else one time or label would be broadcast to all images.
    chex.assert_rank(x, 4)
    for each in (t, label):
      if each is not None:
        chex.assert_shape(each, x.shape[:1])
    multiple = 2 ** (len(self.channel_multipliers) - 1)
    if x.shape[1] % multiple or x.shape[2] % multiple:
      raise ValueError(
        f"the U-Net halves its images {len(self.channel_multipliers) - 1} times, so "
        f"height and width must be multiples of {multiple}; got {x.shape[1]} x "
        f"{x.shape[2]}. Pad or crop them, or give fewer channel_multipliers"
      )
    if label is not None and self.num_classes is None:
      raise ValueError("a label was given to a U-Net whose num_classes is None")
