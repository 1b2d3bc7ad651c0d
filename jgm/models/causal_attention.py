"""Attention of tokens to themselves and those before, with a cache for decoding."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn

from jgm.models.positions import POSITIONS, alibi_bias, rotary_angles, rotate
from jgm.models.token_dense import TokenDense

Array = jax.Array


class LayerCache(NamedTuple):
  """Keys and values of one layer, of S columns: what later tokens attend to."""

  key: Array  # [B, K, S, Dh]; heads before columns: a head's keys lie together
  value: Array  # [B, K, S, Dh]


class Context(NamedTuple):
  """What all layers of a pass have in common: which tokens see which, from where."""

  start: Array  # int32 []: the column of the cache that the first token goes to
  angles: Array | None  # [B or 1, T, Dh / 2]: rotary positions
  bias: Array | None  # [1, N, T, S] float32: ALiBi
  mask: Array | None  # [B or 1, 1, T, S] bool; None: all before, and no cache


def make_context(
  num_tokens: int,
  num_columns: int | None,
  start: Array,
  padding: Array | None,
  *,
  positions: str,
  num_heads: int,
  head_features: int,
) -> Context:
  """The context of T tokens that follow `start` others.

  Args:
    num_tokens: T.
    num_columns: S of the cache; None without one, and then S = T.
    start: int32 []. Columns that are filled already.
    padding: [B] int32, the columns of each row before its first token; None: none.
    positions: one of `POSITIONS`.
    num_heads: N, of queries.
    head_features: Dh.

  Returns:
    Context.
  """
  columns = start + jnp.arange(num_tokens)
  keys = columns if num_columns is None else jnp.arange(num_columns)
  seen = (keys[None] <= columns[:, None])[None, None]
  if padding is not None:
    seen &= (keys[None] >= padding[:, None])[:, None, None]
  mask = None if num_columns is None and padding is None else seen
  angles = bias = None
  if positions == "rotary":
    angles = rotary_angles(token_positions(columns, padding), head_features)
  if positions == "alibi":
    bias = alibi_bias(columns, keys, num_heads)
  return Context(start, angles, bias, mask)


def token_positions(columns: Array, padding: Array | None) -> Array:
  """Counted from each row's first token; 0 for what is before it: [B or 1, T]."""
  if padding is None:
    return columns[None]
  return jnp.maximum(columns[None] - padding[:, None], 0)


class CausalAttention(nn.Module):
  """Causal self-attention; with fewer heads of keys than of queries it is grouped.

  Query head n attends to the keys of head n // (N / K). One matrix makes them all: for
  each head of keys its queries, the key and the value, so that where it is cut over
  devices each has whole heads. The softmax is float32.

  References: Vaswani et al. 2017, section 3.2. https://arxiv.org/abs/1706.03762
  Ainslie et al. 2023 for groups. https://arxiv.org/abs/2305.13245
  """

  num_heads: int  # N, of queries
  num_kv_heads: int  # K, of keys and values
  out_init: Any  # of the output's kernel
  kernel_init: Any
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Array, context: Context, cache: LayerCache | None = None
  ) -> tuple[Array, LayerCache | None]:
    """Attends over x [B, T, D], and what the cache holds.

    Args:
      x: [B, T, D] float.
      context: of these tokens, see `make_context`.
      cache: of this layer; None: x is all there is.

    Returns:
      ([B, T, D] of the compute dtype, the cache with x's keys and values or None).
    """
    head_features = x.shape[-1] // self.num_heads
    query, key, value = self._project(x, head_features)
    if context.angles is not None:
      query, key = rotate(query, context.angles), rotate(key, context.angles)
    if cache is not None:
      cache = _write(cache, key, value, context.start)
      key, value = (rearrange(a, "b k s d -> b s k d") for a in cache)
    out = jax.nn.dot_product_attention(
      query,
      key,
      value,
      bias=context.bias,
      mask=context.mask,
      is_causal=context.mask is None,
    )
    out = rearrange(out, "b t n d -> b t (n d)")
    return self._dense(x.shape[-1], self.out_init, "out")(out), cache

  def _project(self, x: Array, head_features: int) -> list[Array]:
    """Queries [B, T, N, Dh], keys and values [B, T, K, Dh]."""
    n, k = self.num_heads, self.num_kv_heads
    qkv = self._dense((n + 2 * k) * head_features, self.kernel_init, "qkv")(x)
    heads = rearrange(qkv, "b t (k g d) -> b t k g d", k=k, d=head_features)
    query, key, value = jnp.split(heads, [n // k, n // k + 1], axis=3)
    return [rearrange(a, "b t k g d -> b t (k g) d") for a in (query, key, value)]

  def _dense(self, features: int, kernel_init: Any, name: str) -> TokenDense:
    return TokenDense(features, kernel_init=kernel_init, dtype=self.dtype, name=name)


def _write(cache: LayerCache, key: Array, value: Array, start: Array) -> LayerCache:
  """Puts keys and values [B, T, K, Dh] of T tokens into the columns from `start`."""
  put = lambda old, new: jax.lax.dynamic_update_slice_in_dim(
    old, rearrange(new, "b t k d -> b k t d").astype(old.dtype), start, axis=2
  )
  return LayerCache(put(cache.key, key), put(cache.value, value))


def check_heads(
  features: int, num_heads: int, num_kv_heads: int, positions: str
) -> None:
  """Raises ValueError where heads do not divide the features, or each other."""
  if positions not in POSITIONS:
    raise ValueError(f"positions={positions!r}: it is one of {', '.join(POSITIONS)}")
  if features % num_heads:
    raise ValueError(f"{num_heads} heads do not divide {features} features")
  if num_heads % num_kv_heads:
    raise ValueError(f"{num_kv_heads} key heads do not divide {num_heads} query heads")
