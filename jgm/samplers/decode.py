"""Decoding: tokens sampled one after another by a language model, and their scores."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jgm.samplers.logits import LogitsTransform, greedy

Array = jax.Array
# (tokens [B, T], cache, padding [B] or None) -> (logits [B, T or 1, V], cache)
CachedModel = Callable[[Array, Any, Array | None], tuple[Array, Any]]
# (tokens [B, T], padding [B] or None) -> logits [B, T, V]
Model = Callable[[Array, Array | None], Array]


class Completion(NamedTuple):
  """What was sampled after a prompt."""

  tokens: Array  # [B, N] int32; after the end token only end tokens follow
  logp: Array  # [B, N] float32, nats, of the distribution sampled from; 0 after the end
  mask: Array  # [B, N] bool: True up to the end token, which is included


def decode(
  apply: CachedModel,
  cache: Any,
  prompt: Array,
  key: Array,
  *,
  num_tokens: int,
  transform: LogitsTransform,
  prompt_length: Array | None = None,
  end_token: int | None = None,
) -> Completion:
  """Samples N tokens after each prompt.

  The prompts are read in one pass, which fills the cache; then a scan reads a token at
  a time. It ends for no row before the others: what a row makes after its end token is
  replaced.

  Args:
    apply: (tokens [B, T], cache, padding) -> (logits, cache), see `CachedModel`; where
      padding is the number of columns before each prompt, or None.
    cache: an empty one; it has `max_length`, its number of columns.
    prompt: [B, P] int32. Shorter prompts stand on the right, see `left_padded`.
    key: typed key []. Token i is drawn with fold_in(key, i); where the transformation
      is `greedy` itself, nothing is drawn.
    num_tokens: N.
    transform: of the logits before each draw.
    prompt_length: [B] int32 in [1, P]; None: P each, and no padding to mask.
    end_token: after which a row is done; None: no row is before N tokens.

  Returns:
    Completion. Property: `score` of it is its `logp`, and its tokens are those that
    come out without a cache.

  Raises:
    ValueError: where P + N - 1, for the last token is not read, is more than the cache
      has columns; or N < 1.
  """
  padding = _padding(prompt, prompt_length)
  _check_room(prompt.shape[1], num_tokens, cache.max_length)

  def draw(index: Array | int, logits: Array, going: Array) -> tuple[Array, Completion]:
    token, logp = _sample(jax.random.fold_in(key, index), logits[:, -1], transform)
    token = token if end_token is None else jnp.where(going, token, end_token)
    drawn = Completion(token, jnp.where(going, logp, 0.0), going)
    return (going if end_token is None else going & (token != end_token)), drawn

  def step(carry: tuple, index: Array) -> tuple[tuple, Completion]:
    cache, token, going = carry
    logits, cache = apply(token[:, None], cache, padding)
    going, drawn = draw(index, logits, going)
    return (cache, drawn.tokens, going), drawn

  logits, cache = apply(prompt, cache, padding)
  going, first = draw(0, logits, jnp.ones(len(prompt), bool))
  carry = cache, first.tokens, going
  _, others = jax.lax.scan(step, carry, jnp.arange(1, num_tokens))
  join = lambda one, more: jnp.concatenate([one[:, None], more.T], axis=1)
  return jax.tree.map(join, first, others)


def score(
  apply: Model,
  prompt: Array,
  completion: Completion,
  transform: LogitsTransform,
  *,
  prompt_length: Array | None = None,
) -> Array:
  """The log-probability of a completion's tokens, as `decode` would draw them, in nats.

  Args:
    apply: (tokens [B, T], padding [B] or None) -> logits [B, T, V], without a cache.
    prompt: [B, P] int32.
    completion: its `tokens` and `mask` are used.
    transform: that of `decode`.
    prompt_length: [B] int32 in [1, P]; None: P each.

  Returns:
    [B, N] float32, of each token given all before it; 0 where the mask is False. -inf
    for a token that the transformation excludes. Property: equal to the `logp` of
    `decode` with the same model and transformation.
  """
  chex.assert_equal_shape([completion.tokens, completion.mask])
  tokens = jnp.concatenate([prompt, completion.tokens[:, :-1]], axis=1)
  logits = apply(tokens, _padding(prompt, prompt_length))
  logp = _log_prob(transform(logits[:, prompt.shape[1] - 1 :]), completion.tokens)
  return jnp.where(completion.mask, logp, 0.0)


def left_padded(prompts: Sequence[ArrayLike], fill: int = 0) -> tuple[Any, Any]:
  """Prompts of any lengths as one array, each of them on the right.

  Args:
    prompts: B arrays [P_i] of int, none of them empty.
    fill: what stands before shorter ones; the model does not see it.

  Returns:
    (prompt [B, P], prompt_length [B]), int32, on the host.

  Raises:
    ValueError: for an empty prompt: nothing predicts its first token.
  """
  rows = [np.asarray(row, np.int32) for row in prompts]
  lengths = np.array([len(row) for row in rows], np.int32)
  if lengths.min(initial=1) < 1:
    raise ValueError(f"prompt {lengths.argmin()} is empty: it needs a token at least")
  out = np.full((len(rows), lengths.max(initial=0)), fill, np.int32)
  for row, tokens in zip(out, rows, strict=True):
    row[len(row) - len(tokens) :] = tokens
  return out, lengths


def cached_model(model: Any, params: Any) -> CachedModel:
  """What `decode` calls, of a Transformer and its parameters.

  Args:
    model: a `jgm.models.transformer.Transformer`.
    params: its parameters.

  Returns:
    The CachedModel, of the last logits alone. Property: a row of a ragged batch is
    completed as it is alone.
  """

  def apply(tokens: Array, cache: Any, padding: Array | None) -> tuple[Array, Any]:
    return model.apply(
      {"params": params}, tokens, cache=cache, padding=padding, only_last=True
    )

  return apply


def check_prompt(
  tokens: np.ndarray, vocab_size: int, num_tokens: int, max_length: int
) -> None:
  """Raises where a prompt cannot be completed; on the host, before anything runs.

  Args:
    tokens: [P] int.
    vocab_size: V.
    num_tokens: how many are to follow, at least.
    max_length: the context, in tokens; the last one that is written is not read.

  Raises:
    ValueError: for tokens that are not in the vocabulary, or too many of them.
  """
  _check_room(len(tokens), num_tokens, max_length)
  check_tokens(tokens, vocab_size)


def check_tokens(tokens: ArrayLike, vocab_size: int) -> None:
  """Raises where a token is not in the vocabulary; on the host, before anything runs.

  Args:
    tokens: int, of any shape.
    vocab_size: V.

  Raises:
    ValueError: for a token outside [0, V), or an array that is not of integers. It
      names the token and its place.
  """
  tokens = np.asarray(tokens)
  if not np.issubdtype(tokens.dtype, np.integer):
    raise ValueError(f"tokens are integers, not {tokens.dtype}")
  outside = (tokens < 0) | (tokens >= vocab_size)
  if outside.any():
    place = tuple(int(i) for i in np.argwhere(outside)[0])
    raise ValueError(
      f"token {tokens[place]} at {place} is outside the vocabulary of {vocab_size}"
    )


def _padding(prompt: Array, prompt_length: Array | None) -> Array | None:
  """The columns before each prompt [B]; None where there are none, nor a mask then."""
  chex.assert_rank(prompt, 2)
  if prompt_length is None:
    return None
  chex.assert_shape(prompt_length, prompt.shape[:1])
  return prompt.shape[1] - prompt_length


def _sample(
  key: Array, logits: Array, transform: LogitsTransform
) -> tuple[Array, Array]:
  """A token [B] and its log-probability [B], of logits [B, V]."""
  logits = transform(logits)
  if transform is greedy:
    token = jnp.argmax(logits, axis=-1)
  else:
    token = jax.random.categorical(key, logits)
  token = token.astype(jnp.int32)
  return token, _log_prob(logits, token)


def _log_prob(logits: Array, tokens: Array) -> Array:
  """That of tokens [...] under logits [..., V]."""
  log_probs = jax.nn.log_softmax(logits, axis=-1)
  return jnp.take_along_axis(log_probs, tokens[..., None], axis=-1)[..., 0]


def _check_room(prompt_columns: int, num_tokens: int, max_length: int) -> None:
  if num_tokens < 1:
    raise ValueError(f"decode samples at least one token, not {num_tokens}")
  if prompt_columns + num_tokens - 1 > max_length:  # the last token is not read
    raise ValueError(
      f"a prompt of {prompt_columns} tokens and {num_tokens} more, all but the last "
      f"read, are beyond the context of {max_length}"
    )
