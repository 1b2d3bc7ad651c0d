"""CPython's own documentation: English technical prose, on every machine with Python.

What `help("assert")` shows, 79 topics. Many quote each other: as they stand, much of
what is held out would be in the training text too. So what repeats is taken out:

1. A topic is cut into paragraphs at empty lines. Drawn tables are left out.
2. From the longest topic to the shortest, a paragraph is left out if an earlier topic
   has it: the same words and marks in the same order, whatever the spaces.
3. A topic of which less than 200 bytes are left is left out. The others are documents:
   their paragraphs with an empty line between, a line break at the end, no spaces at
   the end of lines, else as they were: UTF-8, lines of some 70 letters, indentation.
4. Held out are topics in the order of the hash of their names until a tenth of all
   bytes is reached; none that is more than a fortieth of all, lest the held-out text be
   of one subject. There is no seed.

A document keeps its name and its place in no file: they are in alphabetical order, an
end byte before all and after each.
"""

import hashlib
import platform
import re
from collections.abc import Iterator, Mapping

from jgm.core.experiment import Dataset
from jgm.data.text import make_text_dataset
from jgm.data.text_spec import Corpus, join_documents

LEAST_BYTES = 200  # of a document
HELD_OUT_SHARE = 0.1
LARGEST_HELD_OUT = 1 / 40  # of all bytes, a held-out topic

Documents = Mapping[str, bytes]  # topic -> text


def make_docs(
  *,
  batch_size: int,
  seed: int,
  context: int,
  tokenizer: str = "bytes",
  vocab_size: int | None = None,
) -> Dataset:
  """The documentation of the Python that runs, 0.34 MB, held on the device.

  Args:
    batch_size: the global batch size, B.
    seed: the seed of the order of the windows.
    context: the number of tokens of a window, T.
    tokenizer: "bytes" or "bpe".
    vocab_size: of "bpe", V.

  Returns:
    A Dataset, as `make_text_dataset` makes it.
  """
  return make_text_dataset(
    "docs",
    read_docs,
    batch_size=batch_size,
    seed=seed,
    context=context,
    tokenizer=tokenizer,
    vocab_size=vocab_size,
  )


def read_docs() -> Corpus:
  """The two splits of the text, which differs from one version of Python to another.

  Property: of the 50-byte windows of "test", less than 1% are in "train" too; of the
  same topics as they stand, more than 30%.
  """
  # 0.5 MB that only this dataset needs
  from pydoc_data.topics import topics

  documents = without_repeats(topics)
  held_out = held_out_topics(documents)
  train, test = (
    join_documents(documents[k] for k in sorted(documents) if (k in held_out) == held)
    for held in (False, True)
  )
  return Corpus(f"documentation of CPython {platform.python_version()}", train, test)


def without_repeats(topics: Mapping[str, str]) -> dict[str, bytes]:
  """The documents, without the paragraphs that a longer topic has too."""
  seen: set[str] = set()
  documents = {}
  for name in sorted(topics, key=lambda name: (-len(topics[name]), name)):
    own = list(paragraphs(topics[name]))
    text = "\n\n".join(each for each in own if words_of(each) not in seen) + "\n"
    seen |= {words_of(each) for each in own}
    if len(text.encode()) >= LEAST_BYTES:
      documents[name] = text.encode()
  return documents


def paragraphs(text: str) -> Iterator[str]:
  """What stands between empty lines, without drawn tables."""
  text = "\n".join(line.rstrip() for line in text.splitlines())
  for paragraph in re.split(r"\n{2,}", text.strip("\n")):
    if paragraph and not paragraph.lstrip().startswith("+--"):
      yield paragraph


def words_of(paragraph: str) -> str:
  """Its words and marks, whatever is between them."""
  return " ".join(re.findall(r"\w+|[^\w\s]", paragraph))


def held_out_topics(documents: Documents) -> set[str]:
  """The topics of "test": about a tenth of the bytes, by the hash of their names."""
  total = sum(map(len, documents.values()))
  order = sorted(documents, key=lambda k: hashlib.sha256(k.encode()).digest())
  chosen: set[str] = set()
  for name in order:
    reached = sum(len(documents[k]) for k in chosen)
    if reached < HELD_OUT_SHARE * total and (
      len(documents[name]) <= LARGEST_HELD_OUT * total
    ):
      chosen.add(name)
  return chosen
