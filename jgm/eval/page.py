"""The pieces of a page of HTML that stands alone: for a run, and for a comparison."""

import base64
import html
import importlib.resources
import inspect
import json
import re
import string
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from jgm.eval.pictures import Picture, png_bytes
from jgm.eval.results import format_number


def fill_page(**parts: str) -> str:
  """The whole page.

  Args:
    **parts: HTML for each place of report.html, already escaped.

  Returns:
    The page, the same for the same parts.
  """
  template = importlib.resources.files("jgm.eval").joinpath("report.html")
  return string.Template(template.read_text(encoding="utf-8")).substitute(parts)


def escape(text: object) -> str:
  """Text that HTML shows and does not obey."""
  return html.escape(str(text), quote=True)


def prose(text: str) -> str:
  """Escaped text whose addresses can be followed and whose `code` looks like code."""
  text = escape(" ".join(text.split()))
  address = r"(https?://[\w\-./%#?=~:+]*[\w/])"
  text = re.sub(address, r'<a href="\1" rel="noreferrer">\1</a>', text)
  return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def introduction_of(docstring: str, title: str) -> tuple[str, str]:
  """The heading, and the paragraphs and equations that come before the command."""
  paragraphs = re.split(r"\n[ \t]*\n", inspect.cleandoc(docstring))
  heading = prose(paragraphs[0]).rstrip(".") or escape(title)
  blocks = []
  for paragraph in paragraphs[1:5]:
    if "python -m" in paragraph:
      break
    if paragraph.startswith(" "):
      equations = escape(textwrap.dedent(paragraph))
      blocks.append(f'<pre class="equations">{equations}</pre>')
    else:
      lead = "" if blocks else ' class="lead"'
      blocks.append(f"<p{lead}>{prose(paragraph)}</p>")
  return heading, "\n".join(blocks)


def command_line(command: str) -> str:
  """A command, in words that a narrow page may break between."""
  # Where the line is too long for a phone it breaks between words, not after "--".
  return " ".join(f"<span>{escape(word)}</span>" for word in command.split(" "))


def warnings_box(warnings: Iterable[str]) -> str:
  """What a reader must know first, each warning once; "" where there is none."""
  items = "".join(f"<li>{prose(warning)}</li>" for warning in dict.fromkeys(warnings))
  if not items:
    return ""
  head = "<strong>Before you trust this run</strong>"
  return f'<aside class="warnings" role="alert">{head}<ul>{items}</ul></aside>'


def figure(caption: str, picture: Picture) -> str:
  """A picture [H, W, 3] uint8 below its caption, inside the page itself."""
  data = base64.b64encode(png_bytes(picture)).decode()
  height, width = picture.shape[:2]
  size = f'width="{width}" height="{height}"'
  image = f'<img {size} alt="{escape(caption)}" src="data:image/png;base64,{data}">'
  words = f"<figcaption>{prose(caption)}</figcaption>"
  return f'<figure class="plate">{words}{image}</figure>'


def number(text: str) -> str:
  """A number in words, escaped; its minus is as wide as a plus."""
  return escape(re.sub(r"(?<![\w])-", "−", text))


def facts_list(facts: Mapping[str, Any]) -> str:
  """What is known of a run, by name; what is None is left out."""
  if not facts:
    return ""
  items = "".join(
    f"<div><dt>{escape(name)}</dt><dd>{escape(_plain(value))}</dd></div>"
    for name, value in facts.items()
    if value is not None
  )
  return f'<h2>The run</h2>\n<dl class="facts">{items}</dl>'


def details(
  docstring: str, config: Mapping[str, Any], versions: Mapping[str, str]
) -> str:
  """What is folded away: the docstring, the config (flat) and the versions."""
  texts = {
    "The experiment in its own words": docstring.strip(),
    "The config": "\n".join(
      f"{name} = {json.dumps(value, default=str)}" for name, value in config.items()
    ),
    "The versions": "\n".join(f"{k} {v}" for k, v in versions.items()),
  }
  return "\n".join(
    f"<details><summary>{name}</summary><pre>{escape(text)}</pre></details>"
    for name, text in texts.items()
    if text
  )


def _plain(value: Any) -> str:
  is_number = isinstance(value, int | float) and not isinstance(value, bool)
  return format_number(value) if is_number else str(value)
