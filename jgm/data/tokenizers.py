"""Tokens: whole numbers for text, and text for whole numbers."""

import functools
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from jgm.core.choice import did_you_mean
from jgm.data.byte_pairs import byte_letters, learn_byte_pairs
from jgm.data.errors import DatasetError

END = b"\0"  # what the end-of-text token stands for: one byte, in no plain text
TOKENIZERS = ("bytes", "bpe")


class Tokenizer(Protocol):
  """How text is written in tokens 0 .. vocab_size - 1.

  Any bytes `x` of UTF-8 are decode_bytes(encode(x)), so that a likelihood of tokens is
  one of the bytes, whatever the tokenizer.
  """

  name: str
  vocab_size: int

  @property
  def end_token(self) -> int | None:
    """The token of the end of a document, which is written as the byte 0."""

  def encode(self, text: str | bytes) -> np.ndarray:
    """The tokens of a text: int32 [N]."""

  def decode(self, tokens: Any) -> str:
    """The text of tokens [N]; bytes that are no UTF-8 become the sign U+FFFD."""

  def decode_bytes(self, tokens: Any) -> bytes:
    """The bytes of tokens [N]."""

  def num_bytes(self) -> np.ndarray:
    """How many bytes each token stands for: int32 [V], at least 1."""


class ByteTokenizer:
  """A token is a byte; 0, which no text has, is the end of a document."""

  name = "bytes"
  vocab_size = 256
  end_token = 0

  def encode(self, text: str | bytes) -> np.ndarray:
    """The bytes of a text: int32 [N]."""
    return np.frombuffer(as_bytes(text), np.uint8).astype(np.int32)

  def decode(self, tokens: Any) -> str:
    """The text of tokens [N]; bytes that are no UTF-8 become the sign U+FFFD."""
    return self.decode_bytes(tokens).decode("utf-8", errors="replace")

  def decode_bytes(self, tokens: Any) -> bytes:
    """The bytes of tokens [N]."""
    return np.asarray(tokens).astype(np.uint8).tobytes()

  def num_bytes(self) -> np.ndarray:
    """One byte each: int32 [256]."""
    return np.ones(256, np.int32)


class BytePairTokenizer:
  """Byte-pair encoding: the most frequent pair of tokens becomes a token, and so on.

  Token 0 is the end of a document, and 256 others are the single bytes, so that any
  text can be written. The vocabulary is learnt from the training text at the first use.

  Reference: Sennrich, Haddow, Birch (2016), algorithm 1. https://arxiv.org/abs/1508.07909
    By bytes: Radford et al. (2019), section 2.2.
  """

  name = "bpe"
  end_token = 0

  def __init__(self, vocab_size: int, train: Callable[[], tuple[bytes, str]]):
    """Notes what to learn from, and reads nothing.

    Args:
      vocab_size: V, the end token and the 256 bytes among them.
      train: () -> (the training text, a hash that it is known by).
    """
    self.vocab_size = vocab_size
    self._train = train

  @functools.cached_property
  def _model(self) -> Any:
    text, digest = self._train()
    documents = text.decode("utf-8").split(END.decode())
    return learn_byte_pairs(documents, digest, self.vocab_size - 1)

  @functools.cached_property
  def _bytes(self) -> list[bytes]:
    letters = {letter: byte for byte, letter in enumerate(byte_letters())}
    words = [self._model.id_to_token(i) for i in range(self.vocab_size - 1)]
    return [END] + [bytes(letters[x] for x in word) for word in words]

  def encode(self, text: str | bytes) -> np.ndarray:
    """The tokens of a text: int32 [N]."""
    documents = as_bytes(text).decode("utf-8").split(END.decode())
    found: list[int] = []
    for tokens in self._model.encode_batch(documents):
      found += [0, *(i + 1 for i in tokens.ids)]
    return np.array(found[1:], np.int32)

  def decode(self, tokens: Any) -> str:
    """The text of tokens [N]; bytes that are no UTF-8 become the sign U+FFFD."""
    return self.decode_bytes(tokens).decode("utf-8", errors="replace")

  def decode_bytes(self, tokens: Any) -> bytes:
    """The bytes of tokens [N]."""
    return b"".join(self._bytes[i] for i in np.asarray(tokens).tolist())

  def num_bytes(self) -> np.ndarray:
    """How many bytes each token stands for: int32 [V]."""
    return np.array([len(each) for each in self._bytes], np.int32)


def make_tokenizer(
  name: str, *, vocab_size: int | None, train: Callable[[], tuple[bytes, str]]
) -> Tokenizer:
  """A tokenizer by name; making it reads nothing.

  Args:
    name: "bytes" or "bpe".
    vocab_size: V; None for bytes, of which there are 256.
    train: () -> (the training text, its hash), from which byte pairs are learnt.

  Raises:
    DatasetError: for an unknown name or a vocabulary of a size that cannot be.
  """
  if name not in TOKENIZERS:
    raise DatasetError(
      f"config.data.tokenizer={name!r}: it is one of {', '.join(TOKENIZERS)}."
      + did_you_mean(name, TOKENIZERS)
    )
  if name == "bytes":
    if vocab_size not in (None, 256):
      raise DatasetError(f"config.data.vocab_size is {vocab_size}: bytes have 256")
    return ByteTokenizer()
  if vocab_size is None or vocab_size < 257:
    raise DatasetError(
      f"config.data.vocab_size is {vocab_size}: byte pairs need 257 at least, the end "
      "token and the bytes"
    )
  return BytePairTokenizer(vocab_size, train)


def as_bytes(text: str | bytes) -> bytes:
  """A text in UTF-8."""
  return text.encode("utf-8") if isinstance(text, str) else text
