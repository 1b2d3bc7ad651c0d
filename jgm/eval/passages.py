"""Samples of text as a person reads them, on a terminal or a page."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jgm.data.tokenizers import END, Tokenizer

MOST_PROMPT = 200  # bytes
MOST_REST = 300  # letters
RULE = "―――"
_SHOWN = {i: chr(0x2400 + i) for i in range(32) if chr(i) not in "\n\t"}
_SHOWN |= {0x7F: "␡", **{i: "�" for i in range(0x80, 0xA0)}}


class Passage(NamedTuple):
  """The beginning of a held-out document, and how it goes on."""

  prompt: str
  rest: str


def until_end(tokens: Any, tokenizer: Tokenizer) -> bytes:
  """The bytes of tokens [N] before the first end token, if there is one."""
  return tokenizer.decode_bytes(tokens).partition(END)[0]


def readable(text: str) -> str:
  """A text without signs that would steer a terminal: each is shown as a picture."""
  return text.translate(_SHOWN)


def passage(test: bytes, context: int) -> Passage:
  """Where a model is asked to go on: the longest held-out document, after some words.

  Args:
    test: the held-out text, documents between end bytes.
    context: the number of tokens that a model sees, T.

  Returns:
    A prompt of at most T / 2 and 200 bytes that ends with a word, or in it where it is
    the first; and at most 300 letters of how the document goes on.
  """
  document = max(test.split(END), key=len).decode()
  most = max(1, min(context // 2, MOST_PROMPT))
  head = document.encode()[:most].decode("utf-8", errors="ignore") or document[:1]
  words = head[: head.rfind(" ")] if " " in head.strip() else head
  return Passage(words, document[len(words) :][:MOST_REST])


def numbered(texts: Sequence[bytes]) -> str:
  """Samples one after the other, with a rule above each."""
  parts = [
    f"{RULE} {number} of {len(texts)} {RULE}\n{_show(text)}"
    for number, text in enumerate(texts, 1)
  ]
  return "\n\n".join(parts)


def continued(place: Passage, continuation: bytes) -> str:
  """A prompt, how a model goes on, and how the text does."""
  return "\n\n".join(
    (
      f"{RULE} the beginning of a held-out document {RULE}\n{readable(place.prompt)}",
      f"{RULE} and on, by the model {RULE}\n{_show(continuation)}",
      f"{RULE} and on, as it is {RULE}\n{readable(place.rest)}",
    )
  )


def _show(text: bytes) -> str:
  return readable(text.decode("utf-8", errors="replace")) or "(nothing)"


def sample_text(samples: Any, tokenizer: Tokenizer, prompt: str = "") -> str:
  """Samples as one looks at them.

  Args:
    samples: [n, N] int, tokens that come after the prompt.
    tokenizer: the data's.
    prompt: what they go on from.

  Returns:
    The samples one after the other, each from the prompt to its end.
  """
  begun = prompt.encode()
  return numbered([begun + until_end(row, tokenizer) for row in np.asarray(samples)])
