"""The residual generator and discriminator of WGAN-GP and of spectral normalisation."""

import math
from typing import Any

import chex
import jax
import jax.numpy as jnp
from einops import rearrange, reduce
from flax import linen as nn

from jgm.models.conditional import (
  ConditionalBatchNorm,
  ProjectionHead,
  check_label,
  normalized,
)
from jgm.models.conv import Conv
from jgm.models.pixels import doubled, pixel_sum

Array = jax.Array
# He's in the residual branches, whose ReLUs halve the variance; Glorot's elsewhere.
_HE = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")
_GLOROT = nn.initializers.glorot_uniform()
_SMALLEST, _LARGEST = 8, 128


class ResNetGenerator(nn.Module):
  """Images from noise: a dense layer, then residual blocks that double their size.

  The smallest image has a shorter side of 4 to 7: 4 x 4 for 32 x 32, 7 x 7 for 28 x 28.
  With classes each block's batch normalisations are conditional; the last is not.

  The default is that of Miyato et al. for 32 x 32; Gulrajani et al. have 128 channels.
  The blocks' biases are left out: a batch normalisation follows them all.

  References: Miyato et al. 2018, table 4. https://arxiv.org/abs/1802.05957
  Gulrajani et al. 2017, appendix. https://arxiv.org/abs/1704.00028
  Miyato & Koyama 2018 for classes. https://arxiv.org/abs/1802.05637
  """

  shape: tuple[int, int, int]  # of an image: height, width, channels
  channels: int = 256  # of every block
  num_classes: int | None = None
  axis_name: str | None = None  # of the devices whose batches are one, under pmap
  dtype: Any = jnp.float32  # of the computation; parameters and output are float32

  @nn.compact
  def __call__(
    self, z: Array, label: Array | None = None, train: bool = False
  ) -> Array:
    """The images of z.

    Args:
      z: [B, D] float.
      label: [B] int in [0, num_classes), or None without classes.
      train: whether to normalise by the batch's statistics and to store them; then
        apply with `mutable=["batch_stats"]`.

    Returns:
      [B, height, width, channels of the image] float32 in [-1, 1].

    Raises:
      ValueError: for a size that cannot be halved as often as needed, a label without
        classes, or classes without a label.
    """
    chex.assert_rank(z, 2)
    check_label(label, self.num_classes, len(z), "ResNetGenerator")
    height, width, out_channels = self.shape
    num_levels = _num_levels(height, width)
    factor = 2**num_levels
    small = (height // factor, width // factor, self.channels)
    first = nn.Dense(
      math.prod(small), kernel_init=_GLOROT, dtype=self.dtype, name="first"
    )
    y = first(z).reshape(len(z), *small)
    for i in range(num_levels):
      block = _GeneratorBlock(
        self.channels, self.num_classes, self.axis_name, self.dtype, name=f"block_{i}"
      )
      y = block(y, label, train)
    norm = ConditionalBatchNorm(None, self.axis_name, self.dtype, name="last_norm")
    last = Conv(out_channels, kernel_init=_GLOROT, dtype=self.dtype, name="last")
    y = last(nn.relu(norm(y, None, train)))
    return jnp.tanh(y.astype(jnp.float32))


class ResNetDiscriminator(nn.Module):
  """Scores of images: residual blocks, a sum over pixels, a projection head.

  Blocks halve the image until its shorter side is at most 8, and the first always does;
  two that keep the size follow: at 32 x 32 two and two, as in the papers. There is no
  batch normalisation, so the examples are independent and a gradient penalty may be
  taken. Scores of Gulrajani et al. come from the mean over pixels.

  References: Miyato et al. 2018, table 4. https://arxiv.org/abs/1802.05957
  Gulrajani et al. 2017, appendix. https://arxiv.org/abs/1704.00028
  Miyato & Koyama 2018 for classes. https://arxiv.org/abs/1802.05637
  """

  channels: int = 128  # of every block
  spectral_norm: bool = False  # of every layer
  num_classes: int | None = None
  pooling: str = "sum"  # over pixels, or "mean"
  dtype: Any = jnp.float32  # of the computation; parameters and output are float32

  @nn.compact
  def __call__(
    self, x: Array, label: Array | None = None, train: bool = False
  ) -> Array:
    """The scores (logits) of x.

    Args:
      x: [B, H, W, C] float.
      label: [B] int in [0, num_classes), or None without classes.
      train: whether spectral vectors are stored, see `conditional.normalized`.

    Returns:
      [B] float32.

    Raises:
      ValueError: for a size that cannot be halved as often as needed, an unknown
        pooling, a label without classes, or classes without a label.
    """
    chex.assert_rank(x, 4)
    check_label(label, self.num_classes, len(x), "ResNetDiscriminator")
    if self.pooling not in ("sum", "mean"):
      raise ValueError(f"pooling is 'sum' or 'mean', got {self.pooling!r}")
    height, width = x.shape[1:3]
    _num_levels(height, width)
    num_halvings = max(1, math.ceil(math.log2(min(height, width) / 8)))
    y = x
    for i in range(num_halvings + 2):
      block = _DiscriminatorBlock(
        self.channels,
        first=i == 0,
        halve=i < num_halvings,
        spectral_norm=self.spectral_norm,
        dtype=self.dtype,
        name=f"block_{i}",
      )
      y = block(y, train)
    y = rearrange(nn.relu(y).astype(jnp.float32), "b h w c -> b (h w) c")
    features = pixel_sum(y)
    if self.pooling == "mean":
      features /= y.shape[1]
    head = ProjectionHead(self.num_classes, self.spectral_norm, self.dtype, name="head")
    return head(features, label, train)


class _GeneratorBlock(nn.Module):
  """Doubles the image: a shortcut plus two convolutions behind their normalisations."""

  features: int
  num_classes: int | None
  axis_name: str | None
  dtype: Any

  @nn.compact
  def __call__(self, x: Array, label: Array | None, train: bool) -> Array:
    """x [B, H, W, C] and label [B] give [B, 2 H, 2 W, features]."""

    def branch(y: Array, i: int, *, grow: bool) -> Array:
      norm = ConditionalBatchNorm(
        self.num_classes, self.axis_name, self.dtype, name=f"norm_{i}"
      )
      y = nn.relu(norm(y, label, train))
      y = doubled(y) if grow else y
      return Conv(
        self.features,
        use_bias=False,
        kernel_init=_HE,
        dtype=self.dtype,
        name=f"conv_{i}",
      )(y)

    y = branch(branch(x, 0, grow=True), 1, grow=False)
    shortcut = Conv(
      self.features,
      kernel_size=1,
      use_bias=False,
      kernel_init=_GLOROT,
      dtype=self.dtype,
      name="shortcut",
    )
    # Pixel by pixel, so it may come before the doubling, where it costs a quarter.
    return y + doubled(shortcut(x))


class _DiscriminatorBlock(nn.Module):
  """A shortcut plus two convolutions, then the mean of 2 x 2 pixels if it halves.

  The first of a network has no ReLU before its first convolution: there are the pixels.
  """

  features: int
  first: bool
  halve: bool
  spectral_norm: bool
  dtype: Any

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """x [B, H, W, C] gives [B, H / 2, W / 2, features], or [B, H, W, features]."""

    def conv(y: Array, name: str, size: int, init: Any) -> Array:
      layer = Conv(self.features, size, kernel_init=init, dtype=self.dtype, name=name)
      return normalized(layer, y, spectral_norm=self.spectral_norm, train=train)

    y = x if self.first else nn.relu(x)
    y = conv(y, "conv_0", 3, _HE)
    y = conv(nn.relu(y), "conv_1", 3, _HE)
    if self.halve:
      y, x = _halve(y), _halve(x)
    if self.halve or x.shape[-1] != self.features:
      # Pixel by pixel, so it may come after the mean, where it costs a quarter.
      x = conv(x, "shortcut", 1, _GLOROT)
    return y + x


def _halve(x: Array) -> Array:
  """The mean of each 2 x 2 pixels of x [B, H, W, C]."""
  return reduce(x, "b (h 2) (w 2) c -> b h w c", "mean")


def _num_levels(height: int, width: int) -> int:
  """How often an image halves until its shorter side is 4 to 7; checks that it can."""
  shorter = min(height, width)
  levels = math.floor(math.log2(shorter / 4)) if shorter >= _SMALLEST else 1
  fits = shorter >= _SMALLEST and max(height, width) <= _LARGEST
  if not fits or height % 2**levels or width % 2**levels:
    raise ValueError(
      f"the ResNet GAN takes images of {_SMALLEST} to {_LARGEST} pixels a side that "
      f"can be halved until the shorter side is 4 to 7; got {height} x {width}. Sides "
      f"must be multiples of 2 from 8, of 4 from 16, of 8 from 32, of 16 from 64 and "
      f"of 32 at 128, by the shorter one"
    )
  return levels
