"""CPython's documentation: what is held out is not in the training text."""

import hashlib
from pydoc_data.topics import topics

import pytest

from jgm.data.docs import (
  held_out_topics,
  paragraphs,
  read_docs,
  without_repeats,
  words_of,
)

WIDTH = 50


@pytest.fixture(scope="module")
def documents():
  return without_repeats(topics)


def windows(documents):
  return [d[i : i + WIDTH] for d in documents for i in range(len(d) - WIDTH + 1)]


def overlap(documents, held_out):
  """The share of the held-out 50-byte windows that are training text too."""
  train = set(windows(d for k, d in documents.items() if k not in held_out))
  test = windows(documents[k] for k in held_out)
  return sum(window in train for window in test) / len(test)


def test_what_is_held_out_is_not_in_the_training_text(documents):
  held_out = held_out_topics(documents)
  assert overlap(documents, held_out) < 0.01
  raw = {k: topic.encode() for k, topic in topics.items()}
  assert overlap(raw, held_out) > 0.3  # as the topics stand


def test_a_tenth_is_held_out_and_of_many_subjects(documents):
  corpus = read_docs()
  sizes = sorted(map(len, corpus.test.split(b"\0")))
  assert len(sizes) > 20 and sizes[-1] < 0.35 * len(corpus.test)
  share = len(corpus.test) / (len(corpus.train) + len(corpus.test))
  assert 0.09 < share < 0.13
  assert 300_000 < len(corpus.train) + len(corpus.test) < 500_000


def test_the_text_is_the_documents_between_end_bytes(documents):
  corpus = read_docs()
  train, test = (text.split(b"\0") for text in (corpus.train, corpus.test))
  for parts in (train, test):
    assert parts[0] == parts[-1] == b"" and all(parts[1:-1])
  assert sorted(train[1:-1] + test[1:-1]) == sorted(documents.values())
  assert b"\0" not in "".join(topics.values()).encode()
  assert b"\r" not in corpus.train and b"\t" not in corpus.train
  assert not any(line.endswith(b" ") for line in corpus.train.split(b"\n"))
  corpus.train.decode(), corpus.test.decode()  # UTF-8


def test_only_repeats_tables_and_stubs_are_left_out(documents):
  """Each paragraph of a topic that has a document is in one, but for tables."""
  kept = {words_of(p) for d in documents.values() for p in paragraphs(d.decode())}
  for name in documents:
    assert {words_of(p) for p in paragraphs(topics[name])} <= kept
  total = [words_of(p) for d in documents.values() for p in paragraphs(d.decode())]
  within = sum(len(list(paragraphs(d.decode()))) for d in documents.values())
  assert len(total) == within and len(set(total)) > 0.97 * len(total)


def test_the_hash_is_of_both_splits():
  corpus = read_docs()
  again = hashlib.sha256(corpus.train + b"\n" + corpus.test).hexdigest()
  assert corpus.sha256 == again and again[:16] in str(corpus)
  assert corpus._replace(test=corpus.test[:-1]).sha256 != again
  assert read_docs() == corpus
