"""The causal decoder: tokens to hidden vectors, all at once or after a cache."""

import math
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn

from jgm.models.causal_attention import (
  Context,
  LayerCache,
  check_heads,
  make_context,
  token_positions,
)
from jgm.models.embedding import sinusoidal_embedding
from jgm.models.transformer_block import NORMAL, Block, layer_norm

Array = jax.Array


class Cache(NamedTuple):
  """What decoding remembers: an ordinary pytree, carried through a scan."""

  layers: tuple[Any, ...]  # a LayerCache of each
  length: Array  # int32 []: columns that are filled, the same for all rows

  @property
  def max_length(self) -> int:
    """S: as many columns as there can be."""
    return self.layers[0].key.shape[2]


class Decoder(nn.Module):
  """Tokens to hidden vectors, each of them of its token and those before only.

  Blocks of attention and a two-layer network, each after a layer norm and added to
  what it read; a last layer norm. Biases, initial weights and the tanh form of GELU
  are those of GPT-2. Dropout is on the embeddings and on what each branch adds, not on
  the attention's weights.

  References: Radford et al. 2019, section 2.3 (GPT-2). Su et al. 2021 (rotary).
  https://arxiv.org/abs/2104.09864 Press, Smith & Lewis 2022 (ALiBi).
  https://arxiv.org/abs/2108.12409
  """

  vocab_size: int
  max_length: int  # the context, in tokens; rotary and ALiBi have no weights of it
  features: int = 128
  num_layers: int = 4
  num_heads: int = 4
  num_kv_heads: int | None = None  # fewer: grouped-query attention; None: num_heads
  mlp_features: int | None = None  # of a block's hidden layer; None: 4 x features
  positions: str = "learned"  # or "sinusoidal", "rotary", "alibi"
  dropout: float = 0.0
  remat: bool = False  # compute blocks anew in the backward pass: less memory
  dtype: Any = jnp.float32  # of the computation; parameters and output are float32

  def setup(self) -> None:
    """Makes the layers; raises ValueError where heads do not fit the features."""
    check_heads(self.features, self.num_heads, self._num_kv_heads, self.positions)
    self.embed = nn.Embed(self.vocab_size, self.features, embedding_init=NORMAL)
    if self.positions == "learned":
      shape = (self.max_length, self.features)
      self.position_table = self.param("positions", NORMAL, shape, jnp.float32)
    block = nn.remat(Block, static_argnums=(4,)) if self.remat else Block
    self.blocks = [
      block(
        self.num_heads,
        self._num_kv_heads,
        self.mlp_features or 4 * self.features,
        nn.initializers.normal(0.02 / math.sqrt(2 * self.num_layers)),
        self.dropout,
        self.dtype,
      )
      for _ in range(self.num_layers)
    ]
    self.embed_dropout = nn.Dropout(self.dropout)
    self.last_norm = layer_norm(jnp.float32)

  def __call__(
    self,
    tokens: Array,
    *,
    cache: Cache | None = None,
    padding: Array | None = None,
    train: bool = False,
  ) -> Any:
    """The hidden vectors of tokens.

    Args:
      tokens: [B, T] int32 in [0, vocab_size), which `check_tokens` of
        jgm.samplers.decode sees to: a larger one gives NaN in its row. With
        a cache they follow those that it holds.
      cache: of `empty_cache` or an earlier call; no token may go beyond its columns.
      padding: [B] int32, how many columns of each row, of the cache's or else of
        `tokens`, are not tokens but fill it up on the left. What they hold changes
        nothing; what comes out of them means nothing.
      train: whether dropout is on; then `rngs={"dropout": key}`.

    Returns:
      [B, T, D] float32; with a cache, (that, the cache with these tokens). Property:
      a token changes no bit of what comes out before it.

    Raises:
      ValueError: for more tokens than `max_length` or the cache has columns.
    """
    chex.assert_rank(tokens, 2)
    self._check_length(tokens, cache)
    start = jnp.int32(0) if cache is None else cache.length
    columns = start + jnp.arange(tokens.shape[1])
    if padding is not None:
      chex.assert_shape(padding, tokens.shape[:1])
      tokens = jnp.where(columns[None] < padding[:, None], 0, tokens)
    x = self.embed(tokens) + self._positions(columns, padding, cache)
    x = self.embed_dropout(x.astype(self.dtype), deterministic=not train)
    context = self._context(tokens.shape[1], start, padding, cache)
    written = []
    for i, block in enumerate(self.blocks):
      x, layer = block(x, context, None if cache is None else cache.layers[i], train)
      written.append(layer)
    x = self.last_norm(x)
    return x if cache is None else (x, Cache(tuple(written), start + tokens.shape[1]))

  def unembed(self, hidden: Array) -> Array:
    """Logits by the embedding itself: hidden [B, T, D] to [B, T, V] float32."""
    return logits_of(hidden, self.embed.embedding.T, self.dtype)

  @nn.nowrap
  def empty_cache(self, batch_size: int, num_columns: int | None = None) -> Cache:
    """A cache that holds nothing, of the compute dtype.

    Args:
      batch_size: B.
      num_columns: S, of tokens and what fills them up; None: `max_length`. Each token
        costs as much as there are columns, filled or not.

    Returns:
      Cache.

    Raises:
      ValueError: for more columns than `max_length`.
    """
    num_columns = self.max_length if num_columns is None else num_columns
    if num_columns > self.max_length:
      raise ValueError(
        f"a cache of {num_columns} columns is more than the context of "
        f"{self.max_length} tokens"
      )
    head_features = self.features // self.num_heads
    shape = (batch_size, self._num_kv_heads, num_columns, head_features)
    empty = lambda: jnp.zeros(shape, self.dtype)
    layers = (LayerCache(empty(), empty()) for _ in range(self.num_layers))
    return Cache(tuple(layers), jnp.int32(0))

  @property
  def _num_kv_heads(self) -> int:
    return self.num_heads if self.num_kv_heads is None else self.num_kv_heads

  def _positions(
    self, columns: Array, padding: Array | None, cache: Cache | None
  ) -> Array:
    """Vectors to add to those of the tokens: [B or 1, T, D]; 0 where there are none."""
    if self.positions in ("rotary", "alibi"):
      return jnp.zeros((1, 1, self.features))
    if self.positions == "learned":
      table = jnp.asarray(self.position_table)  # weights from a file are NumPy's
    else:
      table = sinusoidal_embedding(jnp.arange(self.max_length), self.features)
    if cache is None and padding is None:  # no gather, whose gradient is slow
      return table[None, : len(columns)]
    return table[token_positions(columns, padding)]

  def _context(
    self, num_tokens: int, start: Array, padding: Any, cache: Any
  ) -> Context:
    return make_context(
      num_tokens,
      None if cache is None else cache.max_length,
      start,
      padding,
      positions=self.positions,
      num_heads=self.num_heads,
      head_features=self.features // self.num_heads,
    )

  def _check_length(self, tokens: Array, cache: Cache | None) -> None:
    limit = self.max_length if cache is None else cache.max_length
    if tokens.shape[1] > limit:
      raise ValueError(f"{tokens.shape[1]} tokens are more than the context of {limit}")


def logits_of(hidden: Array, kernel: Array, dtype: Any) -> Array:
  """hidden [B, T, D] times kernel [D, V], summed in float32."""
  flat = rearrange(hidden.astype(dtype), "b t d -> (b t) d")  # see `TokenDense`
  logits = jnp.matmul(flat, kernel.astype(dtype), preferred_element_type=jnp.float32)
  return rearrange(logits, "(b t) v -> b t v", b=hidden.shape[0])
