"""Windows over one text: each is text, and each token is predicted once."""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jgm.data import EMBEDDED, EMBEDDED_TEXT, DatasetError, make_dataset
from jgm.data.prepare import prepare
from jgm.data.text import make_text_dataset
from jgm.data.text_spec import Corpus, join_documents, num_windows, sliding_windows
from jgm.data.tfds import quiet

TRAIN = join_documents([b"the cat sat on the mat", b"and so did the dog"])
TEST = join_documents([b"a fresh text"])


def small(**options):
  options = {"batch_size": 5, "seed": 0, "context": 7, **options}
  return make_text_dataset("small", lambda: Corpus("small", TRAIN, TEST), **options)


def refuse(*_, **__):
  raise AssertionError("something was read")


@pytest.mark.parametrize("name", EMBEDDED_TEXT)
@pytest.mark.parametrize("options", [{}, {"tokenizer": "bpe", "vocab_size": 300}])
def test_the_contract(name, options, tmp_path, monkeypatch):
  monkeypatch.setenv("JGM_CACHE", str(tmp_path))
  data = make_dataset(name, batch_size=16, seed=0, context=32, **options)
  spec, arrays = data.spec, data.arrays(0, 10)
  assert spec.shape == (32,) and data.batch_axis is None
  assert data.arrays(990, 7, rows=np.array([2, 5])) is arrays
  assert isinstance(arrays["tokens"], np.ndarray)
  assert arrays["tokens"].dtype == (np.uint16 if options else np.uint8)
  batch = jax.jit(data.batch)
  for step in (3, 10**7):
    tokens = np.asarray(batch(arrays, jnp.int32(step))["tokens"])
    assert tokens.shape == (16, 33) and tokens.dtype == np.int32
    assert tokens.min() >= 0 and tokens.max() < spec.vocab_size
    for row in tokens:
      assert spec.tokenizer.decode_bytes(row) in spec.corpus().train
  for split, number in (("train", spec.num_train), ("test", spec.num_test)):
    windows = data.split(split)
    assert windows.keys() == {"tokens", "mask"}
    assert windows["tokens"].shape == (number, 33)
    assert windows["mask"].shape == (number, 32)
    counted = windows["tokens"][:, 1:][windows["mask"] > 0]
    text = b"\0" + spec.tokenizer.decode_bytes(counted)
    assert text == getattr(spec.corpus(), split)
  with pytest.raises(ValueError, match="unknown split 'valid'"):
    data.split("valid")


def test_an_epoch_begins_a_window_at_each_token():
  data = small(batch_size=6)
  places = len(TRAIN) - 7
  batch = jax.jit(data.batch)
  seen = [batch(data.arrays(0, 1), jnp.int32(i))["tokens"] for i in range(places // 6)]
  rows = [bytes(row) for row in np.concatenate(seen).astype(np.uint8)]
  possible = [TRAIN[i : i + 8] for i in range(places)]
  assert len(rows) == places // 6 * 6 == places - 0 - places % 6
  left = list(possible)
  for row in rows:
    left.remove(row)  # no place twice
  assert len(left) == places % 6


def test_batches_depend_on_the_seed_and_not_on_the_devices():
  step = np.int32(3)
  data, other = small(batch_size=16), small(batch_size=16, seed=1)
  one = jax.jit(data.batch)(data.arrays(0, 1), step)["tokens"]
  assert not np.array_equal(
    one, jax.jit(other.batch)(other.arrays(0, 1), step)["tokens"]
  )
  mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
  over_data = NamedSharding(mesh, PartitionSpec("data"))
  arrays, step = jax.device_put(
    (data.arrays(0, 1), step), NamedSharding(mesh, PartitionSpec())
  )
  eight = jax.jit(data.batch, out_shardings=over_data)(arrays, step)["tokens"]
  np.testing.assert_array_equal(eight, one)


@pytest.mark.parametrize("context", [1, 2, 3, 8, 9])
@pytest.mark.parametrize("extra", [1, 2, 5, 40, 41])
def test_each_token_is_predicted_once_with_half_the_context(context, extra):
  tokens = np.arange(100, 100 + context + extra).astype(np.uint8)
  windows = sliding_windows(tokens, context)
  rows, mask = windows["tokens"], windows["mask"]
  assert len(rows) == num_windows(len(tokens), context)
  assert rows.dtype == np.int32 and mask.dtype == np.float32
  np.testing.assert_array_equal(np.diff(rows, axis=1), 1)  # each is a piece of text
  np.testing.assert_array_equal(rows[:, 1:][mask > 0], tokens[1:])
  for row in mask[1:]:
    assert np.argmax(row) + 1 >= context / 2


@pytest.mark.parametrize(
  "options, words",
  [
    ({"context": 0}, "context is 0: it is at least 1"),
    ({"context": -3}, "context is -3"),
    ({"context": 8, "tokenizer": "words"}, "one of bytes, bpe"),
    ({"context": 8, "tokenizer": "bpe", "vocab_size": 100}, "vocab_size is 100"),
    ({"context": 8, "batch_size": 0}, "batch_size is 0"),
  ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(options, words, monkeypatch):
  monkeypatch.setattr("jgm.data.docs.read_docs", refuse)
  with pytest.raises(DatasetError, match=words):
    make_dataset("docs", **{"batch_size": 4, "seed": 0, **options})


@pytest.mark.parametrize("name", ["docs", "tiny_shakespeare"])
def test_building_reads_nothing(name, monkeypatch):
  monkeypatch.setattr("builtins.open", refuse)
  monkeypatch.setenv("JGM_CACHE", "/dev/null/nowhere")
  options = {"tokenizer": "bpe", "vocab_size": 1000}
  data = make_dataset(name, batch_size=4, seed=0, context=32, **options)
  assert data.spec.shape == (32,) and data.spec.vocab_size == 1000


def test_a_context_as_long_as_the_text_is_refused():
  assert len(small(context=len(TEST) - 1).split("test")["tokens"]) == 1
  data = small(context=len(TEST))
  assert data.split("train")["tokens"].shape[1] == len(TEST) + 1
  with pytest.raises(DatasetError, match=f"context is {len(TEST)}.*test.*{len(TEST)}"):
    data.split("test")
  with pytest.raises(DatasetError, match=r"small's train split has 43 tokens"):
    small(context=50).arrays(0, 1)


def test_text_and_context_belong_together():
  for name in (*EMBEDDED_TEXT, "no_prompt"):
    with pytest.raises(DatasetError, match=rf"{name} is text: config\.data\.context"):
      make_dataset(name, batch_size=4, seed=0)
    with pytest.raises(DatasetError, match=r"_over_photos: text is not laid over"):
      make_dataset(f"{name}_over_photos", batch_size=4, seed=0)
  with pytest.raises(DatasetError, match="did you mean 'no_prompt'"):
    make_dataset("no_promt", batch_size=4, seed=0)
  for name in EMBEDDED:
    with pytest.raises(DatasetError, match=rf"{name} is no text.*texts: docs"):
      make_dataset(name, batch_size=4, seed=0, context=8)


def test_a_document_with_an_end_byte_is_refused():
  with pytest.raises(DatasetError, match="byte 0"):
    join_documents([b"a\0b"])
  assert join_documents([]) == b"\0" and join_documents([b"a"]) == b"\0a\0"


@pytest.fixture
def text_builder():
  sys.path.insert(0, str(pathlib.Path(__file__).parent))
  try:
    import text_builder
  finally:
    sys.path.pop(0)
  return text_builder


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_prepared_text_is_read_without_tensorflow(
  in_memory, tmp_path, text_builder, monkeypatch, capfd
):
  monkeypatch.setattr("jgm.data.prepare.has_tensorflow", lambda: True)
  with quiet():
    prepare("text_test_set", str(tmp_path))
  options = {"batch_size": 5, "seed": 0, "data_dir": str(tmp_path)}
  data = make_dataset("text_test_set", context=9, in_memory=in_memory, **options)
  corpus = data.spec.corpus()
  for split, found in (("train", corpus.train), ("validation", corpus.test)):
    texts = text_builder.TEXTS[split]
    documents = [text.replace("\0", "").encode() for text in texts]
    assert found == join_documents(documents)
  assert (data.batch_axis is None) == in_memory
  batch = jax.jit(data.batch)(data.arrays(3, 2), jnp.int32(4))
  for row in np.asarray(batch["tokens"]):
    assert data.spec.tokenizer.decode_bytes(row) in corpus.train[:-1] + corpus.train
  assert "text_test_set 1.0.0" in str(corpus)
  assert data.split("test")["tokens"].shape == (data.spec.num_test, 10)
  assert capfd.readouterr() == ("", "") and "tensorflow" not in sys.modules
  with pytest.raises(DatasetError, match=r"no images.*\['text'\]"):
    make_dataset("text_test_set", **options)


def test_a_text_that_is_not_there_names_what_to_do(tmp_path):
  from jgm.data.digits import prepare_digits

  prepare_digits(tmp_path)
  options = {"batch_size": 5, "seed": 0, "data_dir": str(tmp_path), "context": 9}
  missing = make_dataset("tiny_shakespeare", **options)
  command = f"python -m jgm.data.prepare tiny_shakespeare --data_dir={tmp_path}"
  with pytest.raises(DatasetError) as error:
    missing.arrays(0, 1)
  assert command in str(error.value)
  with pytest.raises(DatasetError, match="did you mean 'docs'"):
    make_dataset("dosc", **options).arrays(0, 1)
  shown = tmp_path / "pictures"
  (tmp_path / "digits").rename(shown)
  with pytest.raises(DatasetError, match=r"has no text: its features are \['image'"):
    make_dataset("pictures", **options).arrays(0, 1)
