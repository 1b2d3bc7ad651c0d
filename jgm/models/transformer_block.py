"""One block of the causal Transformer."""

from typing import Any

import jax
from flax import linen as nn

from jgm.models.causal_attention import CausalAttention, Context, LayerCache
from jgm.models.token_dense import TokenDense

Array = jax.Array
NORMAL = nn.initializers.normal(0.02)


class Block(nn.Module):
  """x plus attention, plus a two-layer network of each token, both after a layer norm.

  Reference: Radford et al. 2019, section 2.3 (GPT-2).
  """

  num_heads: int
  num_kv_heads: int
  mlp_features: int
  out_init: Any  # of the two layers whose output is added
  dropout: float
  dtype: Any

  @nn.compact
  def __call__(
    self, x: Array, context: Context, cache: LayerCache | None, train: bool
  ) -> tuple[Array, LayerCache | None]:
    """x [B, T, D] gives ([B, T, D], the layer's cache)."""
    drop = nn.Dropout(self.dropout, deterministic=not train)
    dense = lambda features, init, name: TokenDense(
      features, kernel_init=init, dtype=self.dtype, name=name
    )
    attention = CausalAttention(
      self.num_heads,
      self.num_kv_heads,
      out_init=self.out_init,
      kernel_init=NORMAL,
      dtype=self.dtype,
      name="attention",
    )
    y = layer_norm(self.dtype, "attention_norm")(x)
    y, cache = attention(y, context, cache)
    x = x + drop(y)
    y = layer_norm(self.dtype, "mlp_norm")(x)
    y = nn.gelu(dense(self.mlp_features, NORMAL, "mlp_in")(y), approximate=True)
    return x + drop(dense(x.shape[-1], self.out_init, "mlp_out")(y)), cache


def layer_norm(dtype: Any, name: str | None = None) -> nn.LayerNorm:
  """Mean 0 and variance 1 of each token's features, then an affine; as in GPT-2."""
  return nn.LayerNorm(epsilon=1e-5, dtype=dtype, name=name)
