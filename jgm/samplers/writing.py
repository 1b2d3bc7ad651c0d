"""`sample` of a language model: texts, from nothing or behind a prompt."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgm.samplers.chunks import in_chunks
from jgm.samplers.decode import cached_model, check_prompt, decode
from jgm.samplers.logits import make_transform

Array = jax.Array


def make_writer(
  model: Any,
  tokenizer: Any,
  num_tokens: int,
  *,
  chunk_size: int,
  temperature: float = 1.0,
  top_k: int | None = None,
  top_p: float | None = None,
  min_p: float | None = None,
) -> Callable[..., Array]:
  """The `sample` of an experiment on text, by the averaged parameters.

  Args:
    model: a `jgm.models.transformer.Transformer`.
    tokenizer: of the text; where it marks the end of documents, a text without a prompt
      begins after such a mark, and otherwise after token 0.
    num_tokens: how many tokens are written where there is no prompt, T.
    chunk_size: texts at a time.
    temperature: the default of `sample`'s, see `jgm.samplers.logits`; so are the next.
    top_k: as above.
    top_p: as above.
    min_p: as above.

  Returns:
    (state, key, n, *, prompt="", temperature, top_k, top_p, min_p) -> int32 [n, T], or
    what is left of T + 1 tokens behind the prompt. After an end token come only end
    tokens.
  """
  end_token = tokenizer.end_token
  first = np.array([0 if end_token is None else end_token], np.int32)

  @functools.cache
  def program(num_new: int, **options: Any) -> Callable[..., Array]:
    transform = make_transform(**options)

    @jax.jit
    def write(params: Any, prompts: Array, key: Array) -> Array:
      n, length = prompts.shape
      cache = model.decoder.empty_cache(n, length + num_new - 1)
      return decode(
        cached_model(model, params),
        cache,
        prompts,
        key,
        num_tokens=num_new,
        transform=transform,
        end_token=end_token,
      ).tokens

    return write

  def sample(
    state: Any,
    key: Array,
    n: int,
    *,
    prompt: str = "",
    temperature: float = temperature,
    top_k: int | None = top_k,
    top_p: float | None = top_p,
    min_p: float | None = min_p,
  ) -> Array:
    tokens = np.asarray(tokenizer.encode(prompt)) if prompt else first
    check_prompt(tokens, tokenizer.vocab_size, 1, num_tokens)
    num_new = num_tokens + 1 - len(tokens)
    write = program(
      num_new, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p
    )
    prompts = jnp.broadcast_to(tokens[np.newaxis], (n, len(tokens)))
    one = lambda key, rows: write(state.ema_params, rows, key)
    return in_chunks(one, key, prompts, size=chunk_size)

  return sample
