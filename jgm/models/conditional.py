"""Where a GAN's networks are told the class, and the spectral normalisation of a layer.

The generator is told by its batch normalisation, the discriminator by its last layer.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from jgm.models.norm import BatchNorm
from jgm.models.pixels import spread

Array = jax.Array


class ConditionalBatchNorm(nn.Module):
  """Batch normalisation whose gain and shift are those of each example's class.

  All classes share the mean and the variance. Gains start at 1, shifts at 0. Without
  classes it is plain batch normalisation, with one gain and one shift per channel. The
  running statistics are in `batch_stats`, float32 as the parameters.

  Reference: Dumoulin et al. 2017, section 2.2, there for instance normalisation.
  https://arxiv.org/abs/1610.07629
  """

  num_classes: int | None = None
  axis_name: str | None = None  # of the devices whose batches are one, under pmap
  dtype: Any = jnp.float32  # of the output

  @nn.compact
  def __call__(
    self, x: Array, label: Array | None = None, train: bool = False
  ) -> Array:
    """Normalises each channel of x [B, ..., C] over all other axes.

    Args:
      x: [B, ..., C] float.
      label: [B] int in [0, num_classes), or None without classes. What a label outside
        the range gets is NaN.
      train: whether to use the batch's statistics, and to move the stored ones towards
        them; then apply with `mutable=["batch_stats"]`. Else the stored ones are used.

    Returns:
      [B, ..., C] in `dtype`.

    Raises:
      ValueError: for a label without classes, or classes without a label.
    """
    check_label(label, self.num_classes, len(x), "ConditionalBatchNorm")
    plain = self.num_classes is None
    norm = BatchNorm(
      use_affine=plain,
      axis_name=self.axis_name,
      dtype=self.dtype if plain else jnp.float32,
      name="norm",
    )
    y = norm(x, train)
    if self.num_classes is None:
      return y
    table = partial(nn.Embed, self.num_classes, x.shape[-1])
    gain = table(embedding_init=nn.initializers.ones, name="gain")(label)
    shift = table(embedding_init=nn.initializers.zeros, name="shift")(label)
    return (y * spread(gain, y) + spread(shift, y)).astype(self.dtype)


class ProjectionHead(nn.Module):
  """The score of features phi: psi(phi), plus <embedding of the class, phi>.

  psi is a dense layer to one number. Without classes it is the whole score. Under
  spectral normalisation both layers' matrices have it.

  Reference: Miyato & Koyama 2018, section 3. https://arxiv.org/abs/1802.05637
  """

  num_classes: int | None = None
  spectral_norm: bool = False
  dtype: Any = jnp.float32  # of the products; parameters and output are float32
  kernel_init: Callable[..., Array] = nn.initializers.glorot_uniform()  # of both layers
  use_bias: bool = True  # of psi

  @nn.compact
  def __call__(
    self, features: Array, label: Array | None = None, train: bool = False
  ) -> Array:
    """Scores features [B, F].

    Args:
      features: [B, F] float.
      label: [B] int in [0, num_classes), or None without classes. What a label outside
        the range gets is NaN.
      train: whether the stored spectral vectors are moved, see `normalized`.

    Returns:
      [B] float32.

    Raises:
      ValueError: for a label without classes, or classes without a label.
    """
    chex.assert_rank(features, 2)
    check_label(label, self.num_classes, len(features), "ProjectionHead")
    options = {"spectral_norm": self.spectral_norm, "train": train}
    psi = nn.Dense(
      1, self.use_bias, self.dtype, kernel_init=self.kernel_init, name="psi"
    )
    score = normalized(psi, features, **options)[:, 0].astype(jnp.float32)
    if label is None or self.num_classes is None:
      return score
    table = nn.Embed(
      self.num_classes,
      features.shape[-1],
      dtype=self.dtype,
      embedding_init=self.kernel_init,
      name="embedding",
    )
    direction = normalized(table, label, **options)
    products = direction * features.astype(self.dtype)
    return score + products.astype(jnp.float32).sum(axis=-1)


def normalized(
  layer: nn.Module, x: Array, *, spectral_norm: bool, train: bool
) -> Array:
  """layer(x), its kernel divided by its largest singular value if `spectral_norm`.

  A convolution's kernel counts as the matrix [kh * kw * C, O], so the layer as a whole
  may stretch an image by up to sqrt(kh * kw). The singular value is estimated by one
  step of power iteration a call, from the vector u in `batch_stats`; the step is stored
  if `train` (apply with `mutable=["batch_stats"]`). Gradients flow through the singular
  value. Call it where layers are called, in a compact module.

  Reference: Miyato et al. 2018, eq. 8 and algorithm 1. https://arxiv.org/abs/1802.05957
  """
  if not spectral_norm:
    return layer(x)
  return nn.SpectralNorm(layer)(x, update_stats=train)


def check_label(
  label: Array | None, num_classes: int | None, batch_size: int, who: str
) -> None:
  """Raises ValueError unless there is a label where, and only where, there are classes.

  Args:
    label: [B] or None.
    num_classes: the number of classes or None.
    batch_size: B.
    who: what the message says was called.
  """
  if label is not None and num_classes is None:
    raise ValueError(f"a label was given to {who}, whose num_classes is None")
  if label is None and num_classes is not None:
    raise ValueError(f"{who} has {num_classes} classes and needs a label")
  if label is not None and label.shape != (batch_size,):
    raise ValueError(f"{who}: labels are [B] = ({batch_size},), got {label.shape}")
