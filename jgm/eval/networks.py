"""The two small networks of the evaluation, of different build on purpose.

The features of one are compared; the confidence of the other is reported. A model
that happens to please one net thereby gains nothing with the other.
"""

import einops
import flax.linen as nn

from jgm.core.state import Array
from jgm.models.conv import Conv


class FeatureNet(nn.Module):
  """Strided 3x3 convolutions down to 4x4 or less, then a bottleneck of 64 features.

  Attributes:
    num_classes: the number of classes, K.
    width: channels of the first layer; they double with each halving, up to 4 x width.
    num_features: the width D of what is compared.
  """

  num_classes: int
  width: int = 32
  num_features: int = 64

  @nn.compact
  def __call__(self, images: Array) -> tuple[Array, Array]:
    """Logits and features.

    Args:
      images: [B, H, W, C] float, standardised.

    Returns:
      (logits [B, K], features [B, D]).
    """
    width = self.width
    # On a CPU a first layer at the full size of a larger image would take most time.
    strides = 1 if min(images.shape[1:3]) <= 16 else 2
    x = nn.gelu(Conv(width, strides=strides)(images))
    while min(x.shape[1:3]) > 4:
      width = min(2 * width, 4 * self.width)
      x = nn.gelu(nn.LayerNorm()(Conv(width, strides=2, use_bias=False)(x)))
    features = nn.Dense(self.num_features)(einops.rearrange(x, "b h w c -> b (h w c)"))
    return nn.Dense(self.num_classes)(nn.gelu(features)), features


class JudgeNet(nn.Module):
  """Strided 5x5 convolutions down to 4x4 or less, then a wide hidden layer; rectified.

  Attributes:
    num_classes: the number of classes, K.
    width: channels of the last convolution; of those before, half as many.
    num_hidden: units of the hidden layer.
  """

  num_classes: int
  width: int = 64
  num_hidden: int = 256

  @nn.compact
  def __call__(self, images: Array) -> tuple[Array, Array]:
    """Logits and the hidden layer.

    Args:
      images: [B, H, W, C] float, standardised.

    Returns:
      (logits [B, K], hidden [B, num_hidden]).
    """
    x, size = images, min(images.shape[1:3])
    while x is images or size > 4:
      size = -(-size // 2)
      width = self.width if size <= 4 else self.width // 2
      x = nn.relu(Conv(width, kernel_size=5, strides=2)(x))
    x = einops.rearrange(x, "b h w c -> b (h w c)")
    hidden = nn.relu(nn.Dense(self.num_hidden)(x))
    return nn.Dense(self.num_classes)(hidden), hidden
