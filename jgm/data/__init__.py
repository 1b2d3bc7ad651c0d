"""Data: a batch is a pure function of (seed, step).

`make_dataset` is the one way in. It reads nothing; the Dataset's `arrays` and `split`
do, at their first call.
"""

from typing import Any

from jgm.core.experiment import Dataset
from jgm.data.blended import SUFFIX, make_blended
from jgm.data.digits import make_digits
from jgm.data.docs import make_docs
from jgm.data.errors import DatasetError
from jgm.data.no_prompt import NO_PROMPT, make_no_prompt
from jgm.data.photos import make_photos
from jgm.data.prepared import EMBEDDED, EMBEDDED_TEXT
from jgm.data.spec import (
  DataSpec,
  bits_per_dim,
  dequantise,
  from_levels,
  to_levels,
  to_uint8,
)
from jgm.data.text_spec import TextSpec
from jgm.data.tfds import make_tfds_dataset
from jgm.data.tfds_text import make_tfds_text
from jgm.data.toys import TOYS, make_toy

__all__ = [
  "EMBEDDED",
  "EMBEDDED_TEXT",
  "DataSpec",
  "DatasetError",
  "TextSpec",
  "bits_per_dim",
  "dequantise",
  "from_levels",
  "make_dataset",
  "to_levels",
  "to_uint8",
]

TEXTS = (*EMBEDDED_TEXT, NO_PROMPT)  # NO_PROMPT is a text of nothing


def make_dataset(
  name: str,
  *,
  batch_size: int,
  seed: int,
  data_dir: str | None = None,
  flip: bool = False,
  in_memory: bool = False,
  arrangement: str = "ring",
  photo_strength: float = 1.0,
  context: int | None = None,
  tokenizer: str = "bytes",
  vocab_size: int | None = None,
) -> Dataset:
  """A dataset by name; building it reads nothing.

  Args:
    name: an embedded dataset (`EMBEDDED`), or any of TFDS's as name[/config][:version];
      or either with "_over_photos" after it, grey images blended over photographs. With
      a `context`, a text: one of `EMBEDDED_TEXT`, "no_prompt", or any of TFDS's that
      has some.
    batch_size: the global batch size, B.
    seed: the seed of the order, the flips and the draws: the data's own.
    data_dir: where TFDS datasets are kept, a folder or `gs://...`; default: TFDS's.
    flip: whether half of the images are mirrored, chosen anew in each step.
    in_memory: whether a TFDS dataset, of images or of text, lives whole on the device
      and is not read ahead; one over photographs always does.
    arrangement: of `gaussian_mixture`: 8 on a "ring", 25 on a "grid", or a "pair".
    photo_strength: of "_over_photos": what photographs are multiplied by; at most 1.
    context: of text, and of nothing else: the number of tokens of a window, T.
    tokenizer: of text: "bytes", or "bpe", byte pairs learnt from the training text.
    vocab_size: of "bpe": how many tokens, V.

  Returns:
    A Dataset. Its batches are {"x": float32 [B, *spec.shape], "label": int32 [B]}:
    images [H, W, C] with values in [low, high], or points [2] in the plane. Those of
    text are {"tokens": int32 [B, T+1]}.

  Raises:
    DatasetError: if the batch size is less than 1, there is no such dataset (names the
      nearest one) or it is not prepared (names the command that prepares it); if a text
      has no `context`, or what is no text has one.
  """
  if batch_size < 1:
    raise DatasetError(f"config.data.batch_size is {batch_size}: it is at least 1")
  if context is not None:
    return _make_text(
      name,
      {"data_dir": data_dir, "in_memory": in_memory},
      batch_size=batch_size,
      seed=seed,
      context=context,
      tokenizer=tokenizer,
      vocab_size=vocab_size,
    )
  if name in TEXTS:
    raise DatasetError(f"{name} is text: config.data.context says how much at a time")
  if name.endswith(SUFFIX):
    if name.removesuffix(SUFFIX) in TEXTS:
      raise DatasetError(f"{name}: text is not laid over photographs, images are")
    digits = make_dataset(
      name.removesuffix(SUFFIX),
      batch_size=batch_size,
      seed=seed,
      data_dir=data_dir,
      flip=flip,
      in_memory=True,
    )
    return make_blended(digits, seed=seed, strength=photo_strength)
  if name in TOYS:
    return make_toy(name, batch_size=batch_size, seed=seed, arrangement=arrangement)
  if name == "digits":
    return make_digits(batch_size=batch_size, seed=seed, flip=flip)
  if name == "photos":
    return make_photos(batch_size=batch_size, seed=seed, flip=flip)
  return make_tfds_dataset(
    name,
    batch_size=batch_size,
    seed=seed,
    data_dir=data_dir,
    flip=flip,
    in_memory=in_memory,
  )


def _make_text(name: str, of_tfds: dict[str, Any], **options: Any) -> Dataset:
  if name in EMBEDDED or name.endswith(SUFFIX):
    raise DatasetError(
      f"{name} is no text, and config.data.context is of text alone. Embedded texts: "
      + ", ".join(TEXTS)
    )
  if name == "docs":
    return make_docs(**options)
  if name == NO_PROMPT:
    return make_no_prompt(**options)
  return make_tfds_text(name, **of_tfds, **options)
