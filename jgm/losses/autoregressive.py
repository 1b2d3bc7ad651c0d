"""Losses of next-token prediction, per token: their mean is `masked_mean`'s.

The logits at position t are those of token t + 1, as a causal network makes them of the
tokens up to t: with a batch of tokens [B, T + 1] its inputs are `tokens[:, :-1]`, its
targets `tokens[:, 1:]`.
"""

import math

import chex
import jax
import jax.numpy as jnp
import optax

Array = jax.Array


def cross_entropy(logits: Array, targets: Array, mask: Array | None = None) -> Array:
  """-log p(target | what precedes it) of each token, in nats.

  Args:
    logits: [B, T, V] float, unnormalised.
    targets: [B, T] int. The token that came next.
    mask: [B, T] float or bool, 0 where there is no token: logits and targets may be
      anything there, NaN and -100 included. None: all are real.

  Returns:
    [B, T] float >= 0; 0 where the mask is 0. Property: log V where all logits are
    equal; its sum over a sequence is minus the log of its probability.

  Reference: Bengio et al. 2003, section 1. https://jmlr.org/papers/v3/bengio03a.html
  """
  chex.assert_rank([logits, targets], [3, 2])
  chex.assert_type(targets, int)
  logits, targets = _only_real(logits, mask), _only_real(targets, mask)
  chex.assert_equal_shape_prefix([logits, targets], 2)
  nats = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
  return _only_real(nats, mask)


def z_loss(
  logits: Array, mask: Array | None = None, *, coefficient: float = 1e-4
) -> Array:
  """coefficient * (log Z)^2 of each token, Z the sum of the exponentials of its logits.

  Cross-entropy does not change when a constant is added to all logits; this keeps them
  from drifting to where bfloat16 is coarse.

  Args:
    logits: [B, T, V] float, unnormalised.
    mask: [B, T] float or bool, as `cross_entropy` has it.
    coefficient: the weight; the paper's by default.

  Returns:
    [B, T] float >= 0; 0 where the mask is 0. Property: 0 iff the logits are the
    logarithms of probabilities.

  Reference: Chowdhery et al. 2022, section 5. https://arxiv.org/abs/2204.02311
  """
  chex.assert_rank(logits, 3)
  log_z = jax.nn.logsumexp(_only_real(logits, mask), axis=-1)
  return _only_real(coefficient * jnp.square(log_z), mask)


def bits_per_byte(nats: Array, num_bytes: Array | float) -> Array:
  """Bits for each byte of a text: comparable between tokenizers, as a perplexity isn't.

  Args:
    nats: float. Cross-entropy summed over the tokens of the text.
    num_bytes: the bytes that these tokens stand for.

  Returns:
    float, of the shape of `nats`. Property: 8 for uniform guesses of bytes.
  """
  return nats / num_bytes / math.log(2.0)


def _only_real(values: Array, mask: Array | None) -> Array:
  """0 where there is no token; values are [B, T] or [B, T, V]."""
  if mask is None:
    return values
  chex.assert_equal_shape_prefix([values, mask], 2)
  chex.assert_rank(mask, 2)
  real = jnp.expand_dims(mask > 0, tuple(range(2, values.ndim)))
  return jnp.where(real, values, 0)
