"""The evaluation of language models: against masses that are known exactly."""

import io
import math
import re
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.cli import sample as sample_mode
from jgm.cli.console import make_console, print_texts
from jgm.cli.log import MetricsLog
from jgm.core.experiment import Evaluation
from jgm.data import make_dataset
from jgm.data.text import make_text_dataset
from jgm.data.text_spec import Corpus, join_documents
from jgm.data.tokenizers import ByteTokenizer
from jgm.eval.copies import longest_copy, window_hashes
from jgm.eval.passages import (
  continued,
  numbered,
  passage,
  readable,
  sample_text,
  until_end,
)
from jgm.eval.report import render
from jgm.eval.surprise import CELL, colour_of, letters, surprise_picture
from jgm.eval.text import make_text_evaluation, row_log_prob
from jgm.eval.text_baselines import n_gram_log_mass
from jgm.eval.text_measures import (
  Predicted,
  bits_by_context,
  bits_per_byte,
  bits_scalar,
  context_groups,
)
from jgm.eval.text_warnings import text_warnings, warn_of_copies

BPE = {"tokenizer": "bpe", "vocab_size": 400}


@pytest.fixture(scope="module")
def corpus():
  return make_dataset("docs", batch_size=1, seed=0, context=64).spec.corpus()


def uniform(data):
  """Every token is as likely as any other."""
  shape, size = data.spec.shape, data.spec.vocab_size
  return lambda state, batch, key: jnp.full(
    (len(batch["tokens"]), *shape), -math.log(size)
  )


def writer(data, split):
  """A model that knows a split by heart, and takes what follows the prompt there."""

  def sample(state, key, n, *, prompt=""):
    text = getattr(data.spec.corpus(), split)
    start = text.index(prompt.encode()) + len(prompt.encode()) if prompt else 2000
    pieces = [text[start + 3000 * i :].replace(b"\0", b"")[:300] for i in range(n)]
    return np.stack([data.spec.tokenizer.encode(piece)[:90] for piece in pieces])

  return sample


def evaluation(data, log_prob=None, split="test", **options):
  options = {"chunk_size": 100, **options}
  log_prob = log_prob or uniform(data)
  evaluate = make_text_evaluation(data, log_prob, writer(data, split), **options)
  return evaluate(None, jax.random.key(0))


def test_a_uniform_model_has_eight_bits():
  data = make_dataset("docs", batch_size=1, seed=0, context=64)
  found, size = evaluation(data), len(data.spec.corpus().test) - 1
  scalar, train = (found.scalars[k] for k in ("bits_per_byte", "train_bits_per_byte"))
  assert scalar.value == pytest.approx(8) and train.value == pytest.approx(8)
  assert scalar.ceiling == 8 and scalar.floor is None and scalar.better == "lower"
  assert f"exact; {size:,} held-out bytes" in scalar.note
  assert "training bytes" in train.note


def test_the_bits_of_byte_pairs_are_over_the_bytes_of_what_counts(
  tmp_path, monkeypatch
):
  """log2(V) bits a token, over the bytes of the very same targets."""
  monkeypatch.setenv("JGM_CACHE", str(tmp_path))
  data = make_dataset("docs", batch_size=1, seed=0, context=64, **BPE)
  scalar = evaluation(data, num_windows=5).scalars["bits_per_byte"]
  rows = data.split("test")
  chosen = np.linspace(0, len(rows["mask"]), 5, endpoint=False).astype(int)
  counted = rows["tokens"][chosen, 1:][rows["mask"][chosen] > 0]
  size = len(data.spec.tokenizer.decode_bytes(counted))
  expected = len(counted) * math.log2(data.spec.vocab_size) / size
  assert scalar.value == pytest.approx(expected, rel=1e-6)
  assert f"exact; {size:,} held-out bytes" in scalar.note


def test_a_model_of_counts_has_the_bits_of_its_baseline():
  """Single bytes need no context: windows must give the very number of the baseline."""
  data = make_dataset("docs", batch_size=1, seed=0, context=50)
  train = data.spec.corpus().train
  table = jnp.asarray(n_gram_log_mass(train, bytes(range(256)), order=0), jnp.float32)
  log_prob = jax.jit(lambda state, batch, key: table[batch["tokens"][:, 1:]])
  found = evaluation(data, log_prob)
  names = list(found.scalars)
  assert names[:3] == ["bits_per_byte", "train_bits_per_byte", "bits_per_byte_of_gzip"]
  bits = found.scalars["bits_per_byte"].value
  same = found.scalars["bits_per_byte_of_single_bytes"].value
  assert bits == pytest.approx(same, rel=1e-5)
  # and a row's log-likelihood is that of what counts, in the contract's form
  log_mass = row_log_prob(log_prob)
  assert (log_mass.kind, log_mass.of) == ("exact", "mass")
  rows = log_mass.fn(None, data.split("test"), None)
  total = -float(rows.sum()) / math.log(2) / (len(data.spec.corpus().test) - 1)
  assert total == pytest.approx(bits, rel=1e-5)
  whole = log_mass.fn(None, {"tokens": data.split("test")["tokens"][:2]}, None)
  assert whole.shape == (2,) and (whole <= rows[:2] + 1e-3).all()


def test_what_does_not_count_may_be_impossible():
  log_prob = row_log_prob(lambda *_: jnp.array([[-1.0, -jnp.inf], [-2.0, -3.0]]))
  batch = {"mask": jnp.array([[1.0, 0.0], [1.0, 1.0]])}
  np.testing.assert_array_equal(log_prob.fn(None, batch, None), [-1.0, -5.0])
  empty = {"mask": jnp.zeros((2, 2))}
  np.testing.assert_array_equal(log_prob.fn(None, empty, None), [0.0, 0.0])


def test_an_evaluation_of_some_windows_and_its_parts():
  data = make_dataset("docs", batch_size=1, seed=0, context=64)
  seen = []

  def log_prob(state, batch, key):
    seen.append(len(batch["tokens"]))
    return uniform(data)(state, batch, key)

  found = evaluation(
    data,
    log_prob,
    num_windows=20,
    chunk_size=8,
    pictures=lambda state, key: {"own": np.zeros((2, 2, 3), np.uint8)},
    scalars=lambda state, key: {"own": found_scalar},
  )
  assert set(seen) == {8} and sum(seen) < 100
  assert found.scalars["bits_per_byte"].value == pytest.approx(8)
  assert list(found.texts) == ["samples", "held-out text, continued"]
  assert len(found.images) == 3 and "own" in found.scalars
  for picture in found.images.values():
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
  text = found.texts["held-out text, continued"]
  parts = [part.split("―――\n")[1] for part in text.split("\n\n――― and on")]
  document = max(data.spec.corpus().test.split(b"\0"), key=len).decode()
  assert document.startswith(parts[0] + parts[2]) and len(parts[0]) <= 32
  assert (parts[0] + parts[1])[:80] == document[:80]  # this model knows it by heart


found_scalar = bits_scalar(
  Predicted(*(np.ones((1, 1), kind) for kind in (int, float, int, bool))), "x"
)


def test_the_standard_error_is_that_of_means_over_windows(key):
  bits = np.asarray(jax.random.normal(key, (400,))) + 3
  ratio, error = bits_per_byte(bits, np.full(400, 2))
  assert ratio == pytest.approx(bits.mean() / 2)
  assert error == pytest.approx(np.std(bits / 2) / 20)


def test_bits_by_context_are_those_of_the_place():
  """Target j has j + 1 tokens before it; here it has as many bits, and two bytes."""
  places = np.tile(np.arange(1.0, 13), (5, 1))
  predicted = Predicted(places, places, np.full((5, 12), 2), places > 99)
  context, bits, errors = bits_by_context(predicted)
  np.testing.assert_array_equal(context, [1, 2, 4, 8])
  np.testing.assert_allclose(bits, [0.5, 1.25, 2.75, 5.0])
  np.testing.assert_allclose(errors, 0, atol=1e-12)


@pytest.mark.parametrize(
  "length, starts",
  [(1, [1]), (2, [1]), (3, [1, 2]), (8, [1, 2, 4]), (11, [1, 2, 4, 8]), (9, [1, 2, 4])],
)
def test_thin_groups_of_contexts_join_those_before(length, starts):
  if length == 2:
    starts = [1, 2]  # one of two places is half
  assert context_groups(length) == starts


def test_fresh_text_gives_no_warning(corpus):
  random = np.random.default_rng(0)
  for size in (80, 300, 1000):
    starts = random.integers(0, len(corpus.test) - size, 4)
    samples = [corpus.test[i : i + size].replace(b"\0", b"") for i in starts]
    assert text_warnings(samples, corpus) == ()
  assert text_warnings([b"short"], corpus) == ()


@pytest.mark.parametrize(
  "texts, words",
  [
    ([b"a" * 400], r"repeat themselves.*100% of it is 'a'"),
    ([b"the same the same " * 20] * 2, r"repeat themselves: they compress to \d+% of"),
    ([b"", b"some words"], "1 of 2 samples are empty"),
  ],
)
def test_a_collapse_is_told(corpus, texts, words):
  (warning,) = text_warnings(texts, corpus)
  assert warning.startswith("collapse: ")
  assert re.search(words, warning), warning


def test_copies_are_told_from_a_length_on(corpus):
  piece = corpus.train[5000:5400].replace(b"\0", b"\n")
  for size in (40, 99):
    assert warn_of_copies([b"~~" + piece[:size] + b"~~"], corpus) == ()
  (warning,) = warn_of_copies([b"own words ~~" + piece[:200] + b"~~ and"], corpus)
  assert warning.startswith("copying: 200 bytes in a row")
  usual = int(warning.split("held-out text, ")[1].split(" ")[0])
  assert usual == len(longest_copy([corpus.test], corpus.train)) < 150


def test_the_longest_copy_is_that_of_trying_all():
  random = np.random.default_rng(0)
  for _ in range(50):
    *texts, source = (bytes(random.integers(97, 100, n, np.uint8)) for n in (9, 20, 40))
    pieces = {t[i:j] for t in texts for i in range(len(t)) for j in range(i, 21)}
    longest = max(len(piece) for piece in pieces if piece in source)
    found = longest_copy(texts, source)
    assert len(found) == longest and found in source
    assert any(found in text for text in texts)
  assert longest_copy([], b"abc") == longest_copy([b"", b"xyz"], b"abc") == b""
  assert longest_copy([b"abc"], b"") == b"" and longest_copy([b"ab"], b"xaby") == b"ab"


@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 13])
def test_windows_have_the_same_hash_where_they_are_the_same(width):
  text = bytes(np.random.default_rng(0).integers(97, 99, 300, np.uint8))
  hashes = window_hashes(text, width)
  windows = [text[i : i + width] for i in range(301 - width)]
  assert len(hashes) == len(windows)
  assert len(set(zip(hashes.tolist(), windows, strict=True))) == len(set(windows))
  assert len(set(hashes.tolist())) == len(set(windows))
  assert len(window_hashes(text[: width - 1], width)) == 0


def test_letters_share_the_surprise_of_their_token():
  """ "ß" is two bytes in two tokens; "ab" one token of six bits."""
  found = list(letters([b"ab", b"\xc3", b"\x9f", b"\n"], np.array([6.0, 2, 4, 1])))
  assert found == [("a", 3.0), ("b", 3.0), ("ß", 3.0), ("\n", 1.0)]
  broken = list(letters([b"\xe2", b"a"], np.array([2.0, 5.0])))
  assert broken == [("�", 2.0), ("a", 5.0)]


def test_the_colour_is_the_surprise():
  assert colour_of(0) == (255, 255, 255) and colour_of(8) == colour_of(20)
  assert colour_of(float("nan")) == (0, 0, 0)
  reds = [sum(colour_of(bits)) for bits in range(9)]
  assert reds == sorted(reds, reverse=True) and len(set(reds)) == 9
  pieces, bits = [b"a", b"\n", b"b"], np.array([0.0, 8.0, 4.0])
  picture = surprise_picture(pieces, bits, caption="x")
  width, height = CELL
  below = picture[-2 * height :]
  assert tuple(below[1, 1]) == colour_of(0) and tuple(below[1, width + 1]) == colour_of(
    8
  )
  assert tuple(below[height + 1, 1]) == colour_of(4)
  with pytest.raises(ValueError, match="0 tokens"):
    surprise_picture([], np.zeros(0), caption="x")


def test_a_passage_ends_with_a_word_and_goes_on():
  test = join_documents([b"short", "Ünder the greenwood tree who loves".encode()])
  place = passage(test, 30)
  assert place.prompt == "Ünder the" and place.rest == " greenwood tree who loves"
  assert passage(test, 2).prompt == "Ü" and passage(test, 10).prompt == "Ünde"


def test_texts_do_not_steer_a_terminal():
  raw = b"a\x1b[31mred\x07\r\x7f\xc2\x9b\xff\n\tb\0after"
  tokens = ByteTokenizer().encode(raw)
  assert until_end(tokens, ByteTokenizer()) == raw[:-6]
  text = numbered([raw[:-6]])
  assert not any(x < " " and x not in "\n\t" for x in text)
  assert not any("\x7f" <= x < "\xa0" for x in text)
  assert "a␛[31mred␇␍␡��\n\tb" in text
  assert readable("ß – ok\n") == "ß – ok\n"
  assert "(nothing)" in numbered([b""]) and "1 of 1" in numbered([b""])
  assert "(nothing)" in continued(passage(b"\0word\0", 8), b"")


def texts(caption="samples", text="<b>one</b>\n   two"):
  return Evaluation({}, {}, texts={caption: text, "more": "three"})


def test_the_report_has_the_texts_as_they_are():
  options = {"title": "gpt", "command": "c", "docstring": "A model.", "config": {}}
  options |= {"versions": {}, "rows": []}
  page = render(**options, evaluations=[texts()])
  assert "<figcaption>samples</figcaption>" in page
  assert "\n&lt;b&gt;one&lt;/b&gt;\n   two</pre>" in page and "<b>one" not in page
  assert 'class="text"' not in render(**options, evaluations=[Evaluation({}, {})])
  two = render(**options, evaluations=[texts(), texts(text="of the other")])
  assert "samples (seed 1)" in two and two.count("three") == 1


def test_the_log_keeps_texts_and_cuts_them_back(tmp_path):
  with MetricsLog(tmp_path) as log:
    log.write(5, {"loss": 1.0})
    first = log.write_text(5, "Held-out text, continued", "one “word”")
    later = log.write_text(9, "samples", "two\n")
    assert first.name == "held-out-text-continued-00000005.txt"
    assert first.read_bytes() == "one “word”\n".encode()
    assert later.read_text() == "two\n"
    log.cut(5)
    assert first.exists() and not later.exists()
  with MetricsLog(tmp_path) as log:
    log.write(6, {"loss": 1.0})  # texts are no pictures for the events


def test_the_terminal_shows_texts_and_not_all_of_a_long_one():
  file = io.StringIO()
  long = Evaluation({}, {}, texts={"samples": "[bold]a[/bold]\n" + "line\n" * 100})
  print_texts([long, texts()], console=make_console(file))
  shown = file.getvalue()
  assert "samples\n[bold]a[/bold]\nline\n" in shown
  assert "(41 more lines in samples/)" in shown and "three" not in shown


def test_samples_of_text_are_written_as_text(tmp_path, monkeypatch, capsys):
  corpus = Corpus("small", b"\0the text\0", b"\0a text\0")
  data = make_text_dataset("small", lambda: corpus, batch_size=1, seed=0, context=2)
  tokens = np.stack([data.spec.tokenizer.encode(x) for x in ("y be", "es\0x")])
  experiment = types.SimpleNamespace(
    data=data, sample=lambda state, key, n, *, prompt="": tokens[:n]
  )
  folder = types.SimpleNamespace(samples=sample_mode.epath.Path(tmp_path))
  run = types.SimpleNamespace(experiment=experiment, folder=folder)
  restored = types.SimpleNamespace(state=None, step=7)
  monkeypatch.setattr(sample_mode, "restore_whole", lambda *_: restored)
  monkeypatch.setattr(sample_mode, "of_seed", lambda *_: None)
  options = types.SimpleNamespace(seed=0, num_samples=2, conditions={"prompt": "ma"})
  sample_mode.sample(run, options)
  expected = "――― 1 of 2 ―――\nmay be\n\n――― 2 of 2 ―――\nmaes\n"
  assert (tmp_path / "samples.txt").read_text() == expected
  assert sample_text(tokens, data.spec.tokenizer, "ma") + "\n" == expected
  assert not list(tmp_path.glob("*.png"))
  sample_mode.sample(run, options)
  names = {path.name for path in tmp_path.iterdir()}
  assert names == {"samples.txt", "samples.npz", "samples-1.txt", "samples-1.npz"}
  assert "may be" in capsys.readouterr().out
