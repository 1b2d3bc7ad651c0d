"""The causal Transformer: tokens to logits of the next, or to a number each."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jgm.models.decoder import Cache, Decoder, logits_of
from jgm.models.transformer_block import NORMAL

Array = jax.Array

__all__ = ["Cache", "Decoder", "ScalarTransformer", "Transformer"]


class Transformer(nn.Module):
  """A language model: logits of each next token.

  Property: at the start the cross-entropy is log(vocab_size) nats, but for a few
  percent.

  Reference: Press & Wolf 2017 for tied embeddings. https://arxiv.org/abs/1608.05859
  """

  decoder: Decoder
  tie_embeddings: bool = True  # logits by the embedding; else by a matrix of their own

  @nn.compact
  def __call__(
    self,
    tokens: Array,
    *,
    cache: Cache | None = None,
    padding: Array | None = None,
    train: bool = False,
    only_last: bool = False,
  ) -> Any:
    """The logits of what follows each token.

    Args:
      tokens: [B, T] int32; these and the next three as `Decoder` has them.
      cache: None, or a cache.
      padding: None, or [B] int32.
      train: whether dropout is on.
      only_last: logits of the last token alone, which is all that decoding needs.

    Returns:
      [B, T, V] float32, or [B, 1, V] of the last; with a cache, (that, the cache).
    """
    out = self.decoder(tokens, cache=cache, padding=padding, train=train)
    hidden, cache = (out, None) if cache is None else out
    if only_last:
      hidden = hidden[:, -1:]
    if self.tie_embeddings:
      logits = self.decoder.unembed(hidden)
    else:
      shape = (self.decoder.features, self.decoder.vocab_size)
      kernel = self.param("unembed", NORMAL, shape, jnp.float32)
      logits = logits_of(hidden, kernel, self.decoder.dtype)
    return logits if cache is None else (logits, cache)


class ScalarTransformer(nn.Module):
  """A number for each token, of it and those before: values, or rewards.

  `params["decoder"]` is that of a `Transformer` with the same decoder. The last layer
  starts at zero, and so does the output.
  """

  decoder: Decoder

  @nn.compact
  def __call__(
    self, tokens: Array, *, padding: Array | None = None, train: bool = False
  ) -> Array:
    """tokens [B, T] int32 give [B, T] float32; the rest as `Decoder` has it."""
    hidden = self.decoder(tokens, padding=padding, train=train)
    scalar = nn.Dense(1, kernel_init=nn.initializers.zeros, name="scalar")
    return scalar(hidden)[..., 0]
