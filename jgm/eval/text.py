"""The evaluation of language models: how well they predict text, and what they write.

Bits per byte, whatever the tokens are: so models with different tokenizers, programs
that compress, and counts of letters stand in one table.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from jgm.core.experiment import Batch, Dataset, Evaluation, LogProb, Scalar
from jgm.core.state import Array, TrainState
from jgm.data.text_spec import TextSpec, stride
from jgm.eval.additions import OwnPictures, OwnScalars, with_own
from jgm.eval.line_plot import line_plot
from jgm.eval.passages import continued, numbered, passage, until_end
from jgm.eval.pictures import Picture
from jgm.eval.surprise import surprise_picture
from jgm.eval.text_baselines import ORDER, make_text_baselines
from jgm.eval.text_measures import Predicted, bits_by_context, bits_scalar, to_bits
from jgm.eval.text_warnings import text_warnings
from jgm.samplers.chunks import in_chunks

# (state, batch, key) -> [B, T] float32, the log-likelihood of each target, in nats.
TokenLogProb = Callable[[TrainState, Batch, Array], Array]
MOST_DRAWN = 900  # tokens of a text whose surprise is drawn
CAPTION_CONTEXT = "how much context helps"
CAPTION_SURPRISE = "held-out text, and what of it surprised the model"


def make_text_evaluation(
  data: Dataset,
  token_log_prob: TokenLogProb,
  sample: Callable[..., Array],
  *,
  chunk_size: int,
  num_samples: int = 4,
  num_windows: int | None = None,
  pictures: OwnPictures | None = None,
  scalars: OwnScalars | None = None,
) -> Callable[[TrainState, Array], Evaluation]:
  """The `evaluate` of an experiment on text. Building it reads no data.

  Args:
    data: a text.
    token_log_prob: (state, batch, key) -> [B, T], of the targets tokens[:, 1:]; jitted.
    sample: (state, key, n, *, prompt) -> tokens [n, N] that come after the prompt, with
      an end token where they end before.
    chunk_size: windows at a time.
    num_samples: texts that are drawn.
    num_windows: predict so many windows of each split, from all over it; None: all of
      the held-out text, and as many of the training text.
    pictures: (state, key) -> {caption: picture}, those of this experiment alone.
    scalars: (state, key) -> {name: Scalar}, the numbers of this experiment alone.

  Returns:
    (state, key) -> Evaluation. Its scalars: bits per byte of held-out and of training
    text, and what compression and counts reach.
  """
  spec: TextSpec = data.spec
  make_baselines = make_text_baselines(data)

  @functools.cache
  def windows(which: str) -> dict[str, NDArray[Any]]:
    if which == "opening":
      rows, enough = data.split("test"), math.ceil(MOST_DRAWN / stride(spec.shape[0]))
      return {name: np.asarray(leaf)[:enough] for name, leaf in rows.items()}
    return _spread(data.split(which), num_windows or spec.num_test)

  def predict(which: str, state: TrainState, key: Array) -> Predicted:
    log_prob = lambda key, rows: token_log_prob(state, rows, key)
    rows = windows(which)
    nats = np.asarray(in_chunks(log_prob, key, rows, size=chunk_size))
    targets = rows["tokens"][:, 1:]
    num_bytes = spec.tokenizer.num_bytes()[targets]
    return Predicted(targets, to_bits(nats), num_bytes, rows["mask"] > 0)

  def write(state: TrainState, key: Array, n: int, **prompt: str) -> list[bytes]:
    tokens = np.asarray(sample(state, key, n, **prompt))
    return [until_end(row, spec.tokenizer) for row in tokens]

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    keys = jax.random.split(key, 6)
    key_test, key_train, key_opening, key_sample, key_continue, key_own = keys
    test = predict("test", state, key_test)
    train = predict("train", state, key_train)
    opening = predict("opening", state, key_opening)
    reached = make_baselines(state, key)
    corpus = spec.corpus()
    place = passage(corpus.test, spec.shape[0])
    samples = write(state, key_sample, num_samples)
    continuation = write(state, key_continue, 1, prompt=place.prompt)[0]
    found = Evaluation(
      scalars={
        "bits_per_byte": bits_scalar(test, "held-out"),
        "train_bits_per_byte": bits_scalar(train, "training"),
        **reached,
      },
      images={
        CAPTION_SURPRISE: draw_surprise(opening, spec),
        CAPTION_CONTEXT: draw_context(test, train, spec, reached),
      },
      warnings=text_warnings(samples, corpus),
      texts={
        "samples": numbered(samples),
        "held-out text, continued": continued(place, continuation),
      },
    )
    return with_own(found, state, key_own, pictures=pictures, scalars=scalars)

  return evaluate


def row_log_prob(token_log_prob: TokenLogProb) -> LogProb:
  """The `log_prob` of an experiment: that of a row's targets that count, exact.

  Args:
    token_log_prob: as `make_text_evaluation` takes it.

  Returns:
    A LogProb of mass; without a mask, all targets of a row count. What does not count
    may be -inf.
  """

  def log_prob(state: TrainState, batch: Batch, key: Array) -> Array:
    nats = token_log_prob(state, batch, key)
    if "mask" not in batch:
      return nats.sum(axis=1)
    return nats.sum(axis=1, where=batch["mask"] > 0)

  return LogProb(log_prob, "exact", "mass")


def _spread(rows: Batch, most: int) -> dict[str, NDArray[Any]]:
  """At most so many rows, from all over them."""
  count = len(rows["tokens"])
  chosen = np.linspace(0, count, min(most, count), endpoint=False).astype(int)
  return {name: np.asarray(leaf)[chosen] for name, leaf in rows.items()}


def draw_context(
  test: Predicted, train: Predicted, spec: TextSpec, reached: dict[str, Scalar]
) -> Picture:
  """Bits per byte after more and more of the text before."""
  unit = "bytes" if spec.tokenizer.name == "bytes" else "tokens"
  return line_plot(
    {"held-out": bits_by_context(test), "training": bits_by_context(train)},
    x_label=f"{unit} of context: so many, to twice as many",
    y_label="bits per byte, ± a standard error",
    log_x=True,
    floor=reached[f"bits_per_byte_of_{ORDER}_byte_contexts"].value,
    floor_label=f"counts after {ORDER} bytes",
  )


def draw_surprise(opening: Predicted, spec: TextSpec) -> Picture:
  """The beginning of the held-out text, each letter on its surprise."""
  tokens = opening.tokens[opening.mask][:MOST_DRAWN]
  bits = opening.bits[opening.mask][:MOST_DRAWN]
  pieces = [spec.tokenizer.decode_bytes([token]) for token in tokens]
  caption = "each letter on the colour of its surprise, given the text before it"
  return surprise_picture(pieces, bits, caption=caption)
