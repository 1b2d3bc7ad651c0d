"""The report: one page, all in it, nothing that runs or reaches out."""

import base64
import functools
import html.parser
import io
import re

import numpy as np
import pytest
from PIL import Image

from jgm.core.experiment import Evaluation, Scalar
from jgm.eval.report import render

EVIL = "<script>alert(1)</script>\"'&"
PICTURE = np.random.default_rng(0).integers(0, 255, (12, 20, 3), np.uint8)
DOCSTRING = """Denoising diffusion on digits.

A network learns to undo noise. Ho et al. 2020, https://arxiv.org/abs/2006.11239.

    x_t = alpha_t x_0 + sigma_t eps      eq. 4
      < the rest

  python -m experiments.ddpm --config=configs/ddpm.py

Technical remarks.
"""


class Page(html.parser.HTMLParser):
  """Which elements a page has, and whether they are closed in order."""

  VOID = ("meta", "img", "path", "use")

  def __init__(self, text):
    super().__init__()
    self.tags, self.attributes, self.texts, self._open = [], [], [], []
    self.feed(text)
    self.close()
    assert self._open == []

  def handle_starttag(self, tag, attributes):
    self.tags.append(tag)
    self.attributes += [(tag, name, value) for name, value in attributes]
    if tag not in self.VOID:
      self._open.append(tag)

  def handle_startendtag(self, tag, attributes):
    self.tags.append(tag)
    self.attributes += [(tag, name, value) for name, value in attributes]

  def handle_endtag(self, tag):
    assert self._open.pop() == tag

  def handle_data(self, data):
    self.texts.append(data)

  @property
  def text(self):
    return " ".join(" ".join(self.texts).split())


def evaluation(value=1.25, warnings=()):
  scalars = {
    "frechet_distance": Scalar(value, 1.0, 11.0, "lower", f"a net; N = 9 {EVIL}"),
    "recall": Scalar(0.5, None, None, "higher"),
  }
  return Evaluation(scalars, {f"samples {EVIL}": PICTURE, "how": PICTURE}, warnings)


@functools.cache
def plain_page():
  return page()


def page(**changes):
  options = {
    "title": "ddpm",
    "command": f"python -m experiments.ddpm {EVIL}",
    "docstring": DOCSTRING,
    "config": {"model.width": 64, "model.name": EVIL, "steps": 5},
    "versions": {"jax": "0.10.2"},
    "rows": [{"step": i, "loss": 1.0 / i, f"x{EVIL}": 2.0} for i in range(1, 9)],
    "evaluations": [evaluation(warnings=(f"copies {EVIL}",))],
    "facts": {"parameters": 612353, "device": EVIL, "git commit": None},
  }
  return render(**(options | changes))


def test_the_page_is_well_formed_and_the_same_each_time():
  text = plain_page()
  assert Page(text).tags[0] == "html"
  assert text == page()
  ids = [value for _, name, value in Page(text).attributes if name == "id"]
  assert len(ids) == len(set(ids))


def test_nothing_runs_and_nothing_is_fetched():
  parsed = Page(plain_page())
  assert not {"script", "link", "iframe", "object", "base"} & set(parsed.tags)
  assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
  fetched = [v for tag, name, v in parsed.attributes if name == "src"]
  assert fetched and all(v.startswith("data:image/png;base64,") for v in fetched)
  # An address may be followed by hand; only anchors have one.
  followed = [(tag, v) for tag, name, v in parsed.attributes if name == "href"]
  assert followed == [("a", "https://arxiv.org/abs/2006.11239")]
  assert "@import" not in plain_page() and "url(h" not in plain_page()


def test_hostile_text_is_shown_and_not_obeyed():
  text = page(title=EVIL, docstring=f"{EVIL}\n\n{EVIL}", versions={EVIL: EVIL})
  assert "<script" not in text
  assert Page(text).text.count("<script>alert(1)</script>") >= 10


def test_dollars_in_the_words_are_words():
  assert "costs $5 and $title" in Page(page(docstring="It costs $5 and $title.")).text


def test_the_pictures_are_in_the_page_bit_for_bit():
  sources = [v for _, name, v in Page(plain_page()).attributes if name == "src"]
  assert len(sources) == 2
  with Image.open(io.BytesIO(base64.b64decode(sources[0].split(",")[1]))) as image:
    assert (np.asarray(image) == PICTURE).all()


def test_the_order_is_what_a_reader_wants_first():
  text = Page(plain_page()).text
  parts = [
    "Denoising diffusion on digits",
    "A network learns to undo noise",
    "python -m experiments.ddpm",
    "copies",
    "samples",
    "frechet distance",
    "While it trained",
    "612,353",
    "model.width = 64",
  ]
  body = text[text.index("A run of") :]
  places = [body.index(part) for part in parts]
  assert places == sorted(places)


def test_a_number_stands_beside_its_floor_and_in_plain_words():
  row = re.search(r"<tr><td>frechet.*?</tr>", plain_page(), re.DOTALL).group()
  assert Page(row).text == "frechet distance 1 lower is better 1.250 1 11"
  assert 'style="left:97.5%"' in row
  assert "a net; N = 9" in Page(plain_page()).text
  other = re.search(r"<tr><td>recall.*?</tr>", plain_page(), re.DOTALL).group()
  assert Page(other).text == "recall higher is better 0.5000 – –"
  assert "gauge" not in other


def test_the_introduction_ends_where_the_docstring_turns_technical():
  head = plain_page().split('<pre class="command">')[0]
  assert "undo noise" in head and "Technical" not in head
  equations = "x_t = alpha_t x_0 + sigma_t eps      eq. 4\n  &lt; the rest"
  assert f'<pre class="equations">{equations}</pre>' in head
  assert "Technical remarks" in plain_page()  # folded away, not left out


def test_no_warnings_leave_no_trace():
  assert 'role="alert"' in plain_page()
  assert 'role="alert"' not in page(evaluations=[evaluation()])


def test_several_seeds_give_a_spread_and_a_picture_each():
  text = page(evaluations=[evaluation(1.0), evaluation(2.0), evaluation(3.0)])
  assert "2 ± 1" in Page(text).text and "over 3 seeds" in Page(text).text
  captions = re.findall(r"<figcaption>([^<]*)", text)
  assert sum("seed 0" in c for c in captions) == 2
  assert sum("seed 1" in c for c in captions) == 1
  assert sum("seed 2" in c for c in captions) == 1


def test_both_colour_schemes_and_the_phone_are_served():
  text = plain_page()
  assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text
  light, dark = text.split("prefers-color-scheme: dark")[:2]
  used = set(re.findall(r"var\((--[a-z-]+)\)", text)) - {"--serif", "--sans", "--mono"}
  for variable in used:
    assert f"{variable}: #" in light and f"{variable}: #" in dark


@pytest.mark.parametrize(
  "changes",
  [
    {"rows": []},
    {"rows": [{"step": 1, "loss": float("nan")}, {"step": 2, "loss": float("inf")}]},
    {"evaluations": []},
    {"evaluations": [Evaluation({}, {})]},
    {"docstring": ""},
    {"facts": None, "config": {}, "versions": {}},
  ],
)
def test_what_is_missing_is_left_out(changes):
  Page(page(**changes))
