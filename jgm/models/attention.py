"""Self-attention over the pixels of an image."""

from typing import Any

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn

from jgm.models.norm import GroupNorm

Array = jax.Array


class AttentionBlock(nn.Module):
  """x plus attention of its pixels to each other, after a group norm.

  The output projection starts at zero, so the block starts as the identity. Without
  positions it is equivariant: permuted pixels give a permuted result.

  Reference: Ho et al. 2020, appendix B. https://arxiv.org/abs/2006.11239
  """

  num_heads: int = 1
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Attends over x [B, H, W, C]."""
    channels = x.shape[-1]
    if channels % self.num_heads:
      raise ValueError(f"{self.num_heads} heads do not divide {channels} channels")
    # No biases: the softmax takes out what one on the keys adds, and one on the values
    # only shifts the output, which has its own.
    y = nn.Dense(3 * channels, use_bias=False, dtype=self.dtype, name="qkv")(
      GroupNorm()(x)
    )
    heads = lambda a: rearrange(a, "b h w (n d) -> b (h w) n d", n=self.num_heads)
    query, key, value = map(heads, jnp.split(y, 3, axis=-1))
    out = jax.nn.dot_product_attention(query, key, value)
    out = rearrange(out, "b (h w) n d -> b h w (n d)", h=x.shape[1])
    zeros = nn.initializers.zeros
    return x + nn.Dense(channels, kernel_init=zeros, dtype=self.dtype, name="out")(out)
