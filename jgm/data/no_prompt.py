"""Prompts that say nothing: for a policy whose every completion can be listed."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jgm.core.experiment import Batch, Dataset
from jgm.core.state import Array, PyTree
from jgm.data.errors import DatasetError
from jgm.data.memory import check_split
from jgm.data.shuffle import batch_rows
from jgm.data.text_spec import Corpus, TextSpec, sliding_windows

NO_PROMPT = "no_prompt"  # the dataset's name


class LetterTokenizer:
  """Tokens as the letters a, b, c, ...; none of them ends a text."""

  name = "letters"
  end_token = None

  def __init__(self, vocab_size: int):
    """Notes the size of the vocabulary, V."""
    self.vocab_size = vocab_size

  def encode(self, text: str | bytes) -> np.ndarray:
    """The tokens of a text of such letters: int32 [N]."""
    text = text.encode() if isinstance(text, str) else text
    return np.frombuffer(text, np.uint8).astype(np.int32) - ord("a")

  def decode(self, tokens: Any) -> str:
    """The letters of tokens [N]."""
    return self.decode_bytes(tokens).decode()

  def decode_bytes(self, tokens: Any) -> bytes:
    """The letters of tokens [N]."""
    return (np.asarray(tokens) + ord("a")).astype(np.uint8).tobytes()

  def num_bytes(self) -> np.ndarray:
    """One letter each: int32 [V]."""
    return np.ones(self.vocab_size, np.int32)


def make_no_prompt(
  *,
  batch_size: int,
  seed: int,
  context: int,
  tokenizer: str = "bytes",
  vocab_size: int | None = None,
) -> Dataset:
  """Windows of token 0 alone: the first is the prompt, the rest are to be written over.

  Args:
    batch_size: B.
    seed: not used: all batches are alike.
    context: T, the prompt and the completion.
    tokenizer: not used: tokens are letters.
    vocab_size: V, from 2 to 26; None is 4.

  Returns:
    A Dataset of batches {"tokens": int32 [B, T+1]}, all 0.

  Raises:
    DatasetError: if V is not from 2 to 26.
  """
  del seed, tokenizer
  vocab_size = 4 if vocab_size is None else vocab_size
  if not 2 <= vocab_size <= 26:
    raise DatasetError(f"config.data.vocab_size is {vocab_size}: it is from 2 to 26")
  nothing = np.zeros(context + 1, np.int32)

  def batch(arrays: PyTree, step: Array) -> Batch:
    del arrays, step
    num_rows = len(batch_rows(batch_size))
    return {"tokens": jnp.zeros((num_rows, context + 1), jnp.int32)}

  def split(which: str) -> Batch:
    check_split(which)
    return sliding_windows(nothing, context)  # type: ignore[return-value]

  spec = TextSpec(
    (context,),
    vocab_size,
    LetterTokenizer(vocab_size),
    lambda: Corpus("no text", b"", b""),
    lambda which: nothing,
  )
  held: dict[str, np.ndarray] = {}
  return Dataset(
    name=NO_PROMPT,
    spec=spec,
    batch_size=batch_size,
    arrays=lambda first_step, num_steps, rows=None: held,
    batch=batch,
    split=split,
    shapes=lambda num_steps: {},
  )
