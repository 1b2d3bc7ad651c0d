"""Tokens: what is written can be read, and a vocabulary is learnt as by hand."""

import collections
import itertools

import numpy as np
import pytest

from jgm.data import DatasetError
from jgm.data.byte_pairs import byte_letters
from jgm.data.tokenizers import BytePairTokenizer, ByteTokenizer, make_tokenizer

TEXT = "\0the cat in the hat – “so”\n   x_0 = 1.5\n\0ß\0\0"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
  monkeypatch.setenv("JGM_CACHE", str(tmp_path))


def byte_pairs(text, size, digest="0" * 64):
  return BytePairTokenizer(size, lambda: (text.encode(), digest))


@pytest.mark.parametrize("text", ["", "a", TEXT, "\0", "\0a", "a\0", " \n\0\n "])
def test_what_is_encoded_is_decoded(text):
  for tokenizer in (ByteTokenizer(), byte_pairs(TEXT, 262)):
    tokens = tokenizer.encode(text)
    assert tokens.dtype == np.int32 and tokens.ndim == 1
    assert tokenizer.decode(tokens) == text
    assert tokenizer.decode_bytes(tokens) == text.encode()
    np.testing.assert_array_equal(tokens, tokenizer.encode(text.encode()))
    assert np.sum(tokens == tokenizer.end_token) == text.count("\0")
    assert tokenizer.num_bytes()[tokens].sum() == len(text.encode())
    assert tokenizer.num_bytes().shape == (tokenizer.vocab_size,)
    assert tokenizer.num_bytes().min() == 1


def test_any_byte_is_a_token_of_both():
  every = bytes(range(1, 256))
  tokens = ByteTokenizer().encode(every)
  np.testing.assert_array_equal(tokens, np.arange(1, 256))
  pairs = byte_pairs(TEXT, 257)
  assert sorted(pairs.decode_bytes([i]) for i in range(257))[2:] == [
    bytes([byte]) for byte in range(1, 256)
  ]
  assert "�" in ByteTokenizer().decode([226, 128]) and pairs.encode("ß").size == 2


def test_the_first_pairs_are_the_most_frequent_ones():
  """Against counting by hand: words of one letter pair, in falling frequency."""
  text = " ".join(["ab"] * 9 + ["cd"] * 7 + ["ef"] * 5)
  tokenizer = byte_pairs(text, 257 + 3)
  counts = collections.Counter()
  for word in ["ab"] + [" ab"] * 8 + [" cd"] * 7 + [" ef"] * 5:
    counts.update(itertools.pairwise(word))
  assert counts.most_common(1)[0] == (("a", "b"), 9)
  learnt = [tokenizer.decode([i]) for i in range(257, 260)]
  # once "ab" is a token, " ab" is the pair that is seen most
  assert learnt[:2] == ["ab", " ab"] and learnt[2] in ("cd", " c")


def test_learning_twice_gives_the_same_and_is_kept(tmp_path, monkeypatch):
  first = byte_pairs(TEXT * 3, 270).encode(TEXT)
  (file,) = (tmp_path / "tokenizers").iterdir()
  content = file.read_bytes()
  file.unlink()
  np.testing.assert_array_equal(byte_pairs(TEXT * 3, 270).encode(TEXT), first)
  assert file.read_bytes() == content
  # what is kept is used, and another text has a file of its own
  assert byte_pairs("no text", 270).encode(TEXT).tolist() == first.tolist()
  byte_pairs("another text, another", 258, "1" * 64).encode("x")
  assert len(list((tmp_path / "tokenizers").iterdir())) == 2


def test_more_tokens_are_fewer_of_them():
  text = "the cat sat on the mat, the rat on the hat. " * 20
  lengths = [len(byte_pairs(text, size).encode(text)) for size in (257, 265, 272)]
  assert lengths == sorted(lengths, reverse=True) and lengths[0] == len(text)


def refuse():
  raise AssertionError("something was read")


@pytest.mark.parametrize(
  "name, size, words",
  [
    ("byte", None, r"one of bytes, bpe\. Did you mean 'bytes'"),
    ("bytes", 300, "bytes have 256"),
    ("bpe", None, "vocab_size is None: byte pairs need 257"),
    ("bpe", 256, "vocab_size is 256: byte pairs need 257"),
  ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(name, size, words):
  with pytest.raises(DatasetError, match=words):
    make_tokenizer(name, vocab_size=size, train=refuse)


def test_a_text_may_have_too_few_pairs_and_the_cache_be_closed(monkeypatch):
  with pytest.raises(DatasetError, match=r"vocab_size is 500.*no more than 2\d\d"):
    byte_pairs("a short text", 500).encode("x")
  monkeypatch.setenv("JGM_CACHE", "/dev/null/nowhere")
  with pytest.raises(DatasetError, match="set JGM_CACHE"):
    byte_pairs(TEXT, 260).encode("x")


def test_every_byte_has_a_letter_of_its_own():
  """Against the library's own alphabet."""
  from tokenizers.pre_tokenizers import ByteLevel

  assert len(set(byte_letters())) == 256
  assert set(byte_letters()) == set(ByteLevel.alphabet())
  (word, _), *_ = ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(
    "ß – x\n"
  )
  assert word == "".join(byte_letters()[byte] for byte in "ß – x\n".encode())
