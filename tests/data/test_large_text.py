"""Documents that are read ahead: each row is a piece of the text they are joined to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.data.large_text import beginning, joined_rows, make_large_text_dataset
from jgm.data.text_spec import Corpus, join_documents
from jgm.data.tokenizers import ByteTokenizer

# Of any length, none among them; each of a letter of its own.
LENGTHS = [3, 0, 40, 7, 1, 12, 5, 9, 2, 25, 4, 6]
TEXTS = [bytes([ord("a") + i]) * n for i, n in enumerate(LENGTHS)]
JOINED = join_documents(TEXTS)
TWICE = JOINED[:-1] + JOINED  # behind the last document comes the first


class Listed(list):
  """Documents in memory."""

  def read(self, indices):
    return [self[int(i)] for i in indices]


def large(documents=TEXTS, **options):
  def read():
    return Corpus("large", join_documents(documents), join_documents([b"held out"]))

  options = {"batch_size": 4, "seed": 0, "context": 6, **options}
  return make_large_text_dataset("large", read, lambda: Listed(documents), **options)


def tokens_of(data, first, number, rows=None):
  """[number, R, T+1], of the steps in order."""
  arrays = data.arrays(first, number, rows)
  batch = jax.jit(data.batch)
  steps = range(first, first + number)
  return np.stack([batch(arrays, jnp.int32(step))["tokens"] for step in steps])


@pytest.mark.parametrize("options", [{}, {"tokenizer": "bpe", "vocab_size": 270}])
def test_each_row_is_a_piece_of_the_joined_documents(options, tmp_path, monkeypatch):
  monkeypatch.setenv("JGM_CACHE", str(tmp_path))
  data = large(**options)
  arrays = data.arrays(0, 9)
  assert arrays["tokens"].dtype == (np.uint16 if options else np.uint8)
  assert data.batch_axis == 1
  assert data.shapes(9) == jax.eval_shape(lambda tree: tree, arrays)
  tokens = tokens_of(data, 0, 9)
  assert tokens.shape == (9, 4, 7) and tokens.dtype == np.int32
  for row in tokens.reshape(-1, 7):
    assert data.spec.tokenizer.decode_bytes(row) in TWICE


def test_an_epoch_enters_each_document_once():
  for epoch in (0, 5):
    first = tokens_of(large(seed=3), 3 * epoch, 3)[:, :, :2].reshape(12, 2)
    # where the end byte comes first, the document is what follows; if it has letters
    letters = [b if a == 0 else a for a, b in first.tolist()]
    assert sorted(letters) == sorted([0, *(text[0] for text in TEXTS if text)])


def test_a_document_is_entered_anywhere_with_equal_probability():
  data = large([b"abcdefg"], batch_size=1000)
  first, second = tokens_of(data, 0, 2)[:, :, 0]
  assert 0.05 < np.mean(first == second) < 0.2  # each step enters it elsewhere
  counts = np.array([np.sum(first == token) for token in b"\0abcdefg"])
  assert np.all(abs(counts - 125) < 4 * np.sqrt(1000 / 8 * 7 / 8))


def test_the_first_and_the_last_place_of_a_document():
  first, last = joined_rows(
    Listed([b"abc"]), ByteTokenizer(), np.zeros(2, int), np.array([0, 2**32 - 1]), 6
  )
  assert bytes(first.tolist()) == b"\0abc\0a" and bytes(last.tolist()) == b"c\0abc\0"


def test_rows_that_are_read_apart_are_those_of_the_whole():
  data = large()
  whole = tokens_of(data, 5, 4)
  apart = [tokens_of(data, 5, 4, np.array(rows)) for rows in ([1], [0, 2, 3])]
  np.testing.assert_array_equal(whole[:, [1, 0, 2, 3]], np.concatenate(apart, axis=1))


def test_a_resumed_run_reads_the_same_and_another_seed_does_not():
  straight = tokens_of(large(), 0, 8)
  np.testing.assert_array_equal(tokens_of(large(), 6, 2), straight[6:])
  assert not np.array_equal(tokens_of(large(seed=1), 0, 8), straight)


def test_its_shapes_need_no_text():
  def missing():
    raise AssertionError("something was read")

  data = make_large_text_dataset(
    "c4/en",
    missing,
    missing,
    batch_size=512,
    seed=0,
    context=1024,
    tokenizer="bpe",
    vocab_size=50_257,
  )
  expected = jax.ShapeDtypeStruct((100, 512, 1025), np.uint16)
  assert data.shapes(100) == {"tokens": expected}


def test_the_beginning_ends_with_a_whole_letter():
  documents = Listed(["schön".encode(), b"und", b"gut"])
  assert beginning(documents, 100) == documents
  assert beginning(documents, 9) == ["schön".encode(), b"und"]
  assert beginning(documents, 8) == ["schön".encode(), b"un"]
  assert beginning(documents, 4) == [b"sch"]
  assert beginning(Listed([b"a"] * 250), 201) == [b"a"] * 201
  assert beginning(Listed(), 5) == []
