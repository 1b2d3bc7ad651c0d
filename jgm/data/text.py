"""Windows over one long text, held on the device and cut out inside the step."""

import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jgm.core.experiment import Batch, Dataset
from jgm.core.state import Array, PyTree
from jgm.data.errors import DatasetError
from jgm.data.memory import check_split
from jgm.data.shuffle import batch_indices, batch_rows
from jgm.data.text_spec import Corpus, TextSpec, sliding_windows
from jgm.data.tokenizers import make_tokenizer


def make_text_dataset(
  name: str,
  read: Callable[[], Corpus],
  *,
  batch_size: int,
  seed: int,
  context: int,
  tokenizer: str = "bytes",
  vocab_size: int | None = None,
) -> Dataset:
  """Windows of a text, which begin at any of its tokens.

  Args:
    name: the dataset's name.
    read: reads the text; called once, and not before it is needed.
    batch_size: the global batch size, B.
    seed: the seed of the order of the windows.
    context: the number of tokens of a window, T.
    tokenizer: "bytes" or "bpe".
    vocab_size: of "bpe", V.

  Returns:
    A Dataset whose batches are {"tokens": int32 [B, T+1]}: the inputs are
    tokens[:, :-1] and the targets tokens[:, 1:]. Its arrays are {"tokens": [N]} of the
    smallest type that fits. Its splits have {"tokens": int32 [W, T+1], "mask": float32
    [W, T]}: see `sliding_windows`. Property: in an epoch a window begins at each token,
    but for the last T and less than a batch.

  Raises:
    DatasetError: as `make_text_spec`.
  """
  spec = make_text_spec(
    name, read, context=context, tokenizer=tokenizer, vocab_size=vocab_size
  )

  @functools.cache
  def arrays() -> dict[str, np.ndarray]:
    return {"tokens": spec.tokens("train")}

  def batch(arrays: PyTree, step: Array) -> Batch:
    text = arrays["tokens"]
    starts = batch_indices(
      step,
      batch_rows(batch_size),
      batch_size=batch_size,
      num_examples=len(text) - context,
      seed=seed,
    )
    return {"tokens": cut(text, starts, context)}

  return Dataset(
    name=name,
    spec=spec,
    batch_size=batch_size,
    arrays=lambda first_step, num_steps, rows=None: arrays(),
    batch=batch,
    split=lambda split: sliding_windows(spec.tokens(split), context),  # type: ignore
  )


def make_text_spec(
  name: str,
  read: Callable[[], Corpus],
  *,
  context: int,
  tokenizer: str,
  vocab_size: int | None,
) -> TextSpec:
  """How a text is cut and written in tokens; nothing is read.

  Args:
    name: the dataset's name.
    read: reads the text; called once, and not before it is needed.
    context: the number of tokens of a window, T.
    tokenizer: "bytes" or "bpe", which is learnt from the training text.
    vocab_size: of "bpe", V.

  Returns:
    The TextSpec; its tokens are of the smallest type that fits.

  Raises:
    DatasetError: for a context below 1, a tokenizer that there is not, or a vocabulary
      too small; and once the text is read, for a context as long as a split of it.
  """
  if context < 1:
    raise DatasetError(f"config.data.context is {context}: it is at least 1 token")
  read = functools.cache(read)
  train = lambda: (read().train, read().sha256)
  written = make_tokenizer(tokenizer, vocab_size=vocab_size, train=train)

  @functools.cache
  def tokens(split: str) -> np.ndarray:
    check_split(split)
    found = written.encode(getattr(read(), split))
    check_length(len(found), context, f"{name}'s {split} split")
    return found.astype(np.min_scalar_type(written.vocab_size - 1))

  return TextSpec((context,), written.vocab_size, written, read, tokens)


def cut(text: Array, starts: Array, context: int) -> Array:
  """The windows of a text that begin at `starts`.

  Args:
    text: [N] of any integer type.
    starts: [B] int32, at most N - T - 1.
    context: T.

  Returns:
    [B, T+1] int32.
  """
  places = jnp.expand_dims(starts, 1) + jnp.arange(context + 1)[jnp.newaxis]
  return text[places].astype(jnp.int32)


def check_length(num_tokens: int, context: int, what: str) -> None:
  """Raises a DatasetError if a text has no window of T tokens and the one after."""
  if num_tokens <= context:
    raise DatasetError(
      f"config.data.context is {context}: {what} has {num_tokens:,} tokens, and it is "
      "to be shorter than that"
    )
