"""A network of points: a few dense layers, told the time and the class if need be."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from jgm.models.embedding import sinusoidal_embedding

Array = jax.Array


class MLP(nn.Module):
  """A network from points, times and classes to points; called as the U-Net is.

  Time and class are added before the activation of every hidden layer. The last layer
  starts at zero, and so does the output. It has derivatives of all orders.
  """

  features: int = 128  # of each hidden layer
  num_layers: int = 3  # hidden ones
  num_classes: int | None = None  # label = num_classes means: no class given
  dropout: float = 0.0
  out_features: int | None = None  # None: those of x
  dtype: Any = jnp.float32  # of the computation; parameters and output are float32

  @nn.compact
  def __call__(
    self,
    x: Array,
    t: Array | None = None,
    label: Array | None = None,
    train: bool = False,
  ) -> Array:
    """The network's output for points, at times t if there are times.

    Args:
      x: [B, D] float.
      t: [B], int or float, of the size of step numbers (0 to 1000): scale a continuous
        time. None where the network knows no time.
      label: [B] int in [0, num_classes]; None where there are no classes, and for all
        unconditional where there are.
      train: whether dropout is on; then `rngs={"dropout": key}`.

    Returns:
      [B, out_features] float32.

    Raises:
      ValueError: for a network without hidden layers, or a label without classes.
    """
    self._check(x, t, label)
    condition = self._condition(len(x), t, label)
    y = x
    for _ in range(self.num_layers):
      # The projected condition brings the bias.
      y = nn.Dense(self.features, use_bias=condition is None, dtype=self.dtype)(y)
      if condition is not None:
        y += nn.Dense(self.features, dtype=self.dtype)(condition)
      y = nn.Dropout(self.dropout, deterministic=not train)(nn.swish(y))
    out_features = x.shape[-1] if self.out_features is None else self.out_features
    zeros = nn.initializers.zeros
    y = nn.Dense(out_features, kernel_init=zeros, dtype=self.dtype, name="last")(y)
    return y.astype(jnp.float32)

  def _condition(self, n: int, t: Array | None, label: Array | None) -> Array | None:
    """The time and the class as one vector [B, features]; None where neither is."""
    dense = lambda: nn.Dense(self.features, dtype=self.dtype)
    parts = []
    if t is not None:
      parts.append(dense()(nn.swish(dense()(sinusoidal_embedding(t, self.features)))))
    if self.num_classes is not None:
      if label is None:
        label = jnp.full(n, self.num_classes)
      table = nn.Embed(self.num_classes + 1, self.features, dtype=self.dtype)
      parts.append(table(label))
    return nn.swish(sum(parts)) if parts else None

  def _check(self, x: Array, t: Array | None, label: Array | None) -> None:
    chex.assert_rank(x, 2)
    # Else one time or label would be broadcast to all points.
    for each in (t, label):
      if each is not None:
        chex.assert_shape(each, x.shape[:1])
    if self.num_layers < 1:
      raise ValueError(f"an MLP has num_layers >= 1, not {self.num_layers}")
    if label is not None and self.num_classes is None:
      raise ValueError("a label was given to an MLP whose num_classes is None")
