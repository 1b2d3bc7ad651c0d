"""DCGAN: a generator and a discriminator of strided convolutions."""

import math
from typing import Any

import chex
import jax
import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn

from jgm.models.conditional import (
  ConditionalBatchNorm,
  ProjectionHead,
  check_label,
  normalized,
)
from jgm.models.conv import Conv, ConvTranspose
from jgm.models.norm import GroupNorm

Array = jax.Array

SMALLEST, LARGEST = 8, 128  # heights and widths
NORMS = ("batch", "layer", "none")
KERNEL_INIT = nn.initializers.normal(0.02)


class DCGANGenerator(nn.Module):
  """A network from noise to images: dense to a small one, then doubled and doubled.

  A doubling is a transposed convolution. After each, but for the last, and after the
  dense layer come batch normalisation and a ReLU; at the end a tanh. In training the
  statistics are the batch's, and `batch_stats` follow them; otherwise those are used.
  With classes, each has its own gains and shifts after the normalisations.

  Reference: Radford et al. 2016, section 3. https://arxiv.org/abs/1511.06434
  """

  shape: tuple[int, int, int]  # of one image
  channels: int = 64  # at half the resolution; twice as many at each further half
  smallest: int = 4  # images are halved floor(log2(shorter side / smallest)) times
  num_classes: int | None = None
  axis_name: str | None = None  # of the devices whose batches are one, under pmap
  dtype: Any = jnp.float32  # of the computation; parameters and output are float32

  @nn.compact
  def __call__(
    self, z: Array, label: Array | None = None, train: bool = False
  ) -> Array:
    """Images for noise.

    Args:
      z: [B, D] float.
      label: [B] int; None where there are no classes.
      train: whether statistics are the batch's; then `mutable=["batch_stats"]`.

    Returns:
      [B, H, W, C] float32 in [-1, 1].

    Raises:
      ValueError: for a height or width outside 8 to 128, and for a label without
        classes or classes without a label.
    """
    chex.assert_rank(z, 2)
    check_label(label, self.num_classes, len(z), "DCGANGenerator")
    *images, small = halved_sizes(self.shape, self.smallest)
    widths = [self.shape[-1], *_widths(self.channels, len(images))]

    def rectified(y: Array, name: str) -> Array:
      norm = ConditionalBatchNorm(
        self.num_classes, self.axis_name, self.dtype, name=f"{name}_norm"
      )
      return nn.relu(norm(y, label, train))

    num_values = math.prod(small) * widths[-1]
    first = nn.Dense(
      num_values,
      use_bias=False,
      dtype=self.dtype,
      kernel_init=KERNEL_INIT,
      name="first",
    )
    y = rearrange(first(z), "b (h w c) -> b h w c", h=small[0], w=small[1])
    y = rectified(y, "first")
    for level in reversed(range(len(images))):
      name, is_last = f"grow_{level}", level == 0
      grow = ConvTranspose(
        widths[level],
        images[level],
        kernel_size=4,
        strides=2,
        use_bias=is_last,
        dtype=self.dtype,
        kernel_init=KERNEL_INIT,
        name=name,
      )
      y = grow(y) if is_last else rectified(grow(y), name)
    return jnp.tanh(y.astype(jnp.float32))


class DCGANDiscriminator(nn.Module):
  """A network from images to scores: halved and halved, then dense to one number.

  A halving is a convolution of stride 2. After each come, but for the first, a
  normalisation, and a leaky ReLU. The score is a logit, or what the loss makes of it:
  no sigmoid follows. With classes the last layer is a projection.

  Reference: Radford et al. 2016, section 3. https://arxiv.org/abs/1511.06434
  """

  channels: int = 64  # at half the resolution; twice as many at each further half
  smallest: int = 4  # images are halved floor(log2(shorter side / smallest)) times
  # "batch": as in the generator. "layer": over all pixels and channels of an example,
  # for a gradient penalty, which is one example's. "none".
  norm: str = "batch"
  spectral_norm: bool = False  # of every layer; its vectors are in `batch_stats` too
  num_classes: int | None = None
  last_bias: bool = True  # of the score: for naught where only differences count
  axis_name: str | None = None  # of the devices whose batches are one, under pmap
  dtype: Any = jnp.float32  # of the computation; parameters and output are float32

  @nn.compact
  def __call__(
    self, x: Array, label: Array | None = None, train: bool = False
  ) -> Array:
    """The score of each image.

    Args:
      x: [B, H, W, C] float.
      label: [B] int; None where there are no classes.
      train: whether statistics are the batch's, and spectral vectors are moved; then
        `mutable=["batch_stats"]`.

    Returns:
      [B] float32.

    Raises:
      ValueError: for a height or width outside 8 to 128, an unknown norm, and for a
        label without classes or classes without a label.
    """
    chex.assert_rank(x, 4)
    check_label(label, self.num_classes, len(x), "DCGANDiscriminator")
    if self.norm not in NORMS:
      raise ValueError(f"norm={self.norm!r}: the norms are {', '.join(NORMS)}")
    num_halvings = len(halved_sizes(x.shape[1:], self.smallest)) - 1
    y = x
    for level, width in enumerate(_widths(self.channels, num_halvings)):
      name, has_norm = f"shrink_{level}", level > 0 and self.norm != "none"
      shrink = Conv(
        width,
        kernel_size=4,
        strides=2,
        use_bias=not has_norm,
        dtype=self.dtype,
        kernel_init=KERNEL_INIT,
        name=name,
      )
      y = normalized(shrink, y, spectral_norm=self.spectral_norm, train=train)
      y = self._norm(y, train, f"{name}_norm") if has_norm else y
      y = nn.leaky_relu(y, 0.2)
    head = ProjectionHead(
      self.num_classes,
      self.spectral_norm,
      self.dtype,
      KERNEL_INIT,
      self.last_bias,
      name="last",
    )
    return head(rearrange(y, "b h w c -> b (h w c)"), label, train)

  def _norm(self, y: Array, train: bool, name: str) -> Array:
    if self.norm == "layer":
      return GroupNorm(groups=1, epsilon=1e-5, name=name)(y)
    norm = ConditionalBatchNorm(None, self.axis_name, self.dtype, name=name)
    return norm(y, train=train)


def halved_sizes(shape: tuple[int, ...], smallest: int = 4) -> list[tuple[int, int]]:
  """The sizes of an image [H, W, ...] and of its halves, down to about `smallest`.

  It is halved floor(log2(shorter side / smallest)) times. Halves are rounded up: 8, 4;
  28, 14, 7; 30, 15, 8; 32, 16, 8, 4.

  Raises:
    ValueError: for a height or width outside 8 to 128, and if `smallest` is not from 1
      to half of the shorter one.
  """
  if len(shape) != 3:
    raise ValueError(f"DCGAN is for images [H, W, C], not examples {list(shape)}")
  height, width = shape[:2]
  if not SMALLEST <= min(height, width) <= max(height, width) <= LARGEST:
    raise ValueError(
      f"DCGAN's images are {SMALLEST} to {LARGEST} pixels high and wide, not "
      f"{height} x {width}"
    )
  if not 1 <= smallest <= min(height, width) / 2:
    raise ValueError(
      f"smallest={smallest}: it is from 1 to half of the shorter side of {height} x "
      f"{width}"
    )
  sizes = [(height, width)]
  for _ in range(int(math.log2(min(height, width) / smallest))):
    height, width = -(-height // 2), -(-width // 2)
    sizes.append((height, width))
  return sizes


def _widths(channels: int, num_halvings: int) -> list[int]:
  return [channels * 2**level for level in range(num_halvings)]
