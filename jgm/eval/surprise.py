"""Text on paper that is the darker, the less a model expected it."""

import functools
from collections.abc import Iterator, Sequence

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from jgm.eval.canvas import PRINT
from jgm.eval.line_plot import COLOURS
from jgm.eval.pictures import Picture, captioned

COLUMNS = 76
SIZE = 20  # px of the letters
CELL = (12, 27)  # px, width and height; the letters of this face are 12 px wide
MOST_BITS = 8.0  # of a byte, drawn in the full colour; as of a model that knows nothing
MARK = COLOURS[1]


def surprise_picture(
  pieces: Sequence[bytes], bits: NDArray[np.float64], *, caption: str
) -> Picture:
  """A text, each letter on a colour that says how surprising it was.

  Args:
    pieces: the bytes of each token, N of them; together UTF-8.
    bits: [N] float, the surprise of each, spread evenly over its bytes.
    caption: what is written above, before the key to the colours.

  Returns:
    [., ., 3] uint8. White is 0 bits per byte, the full colour 8 and more, and black
    paper what is not finite. A line's end is drawn as a sign, so that its surprise is
    seen.

  Raises:
    ValueError: where there is nothing to draw, or the lengths differ.
  """
  if not pieces or len(pieces) != len(bits):
    raise ValueError(
      f"{len(pieces)} tokens and {len(bits)} surprises: one each, of some"
    )
  lines = list(_lines(list(letters(pieces, bits))))
  width, height = CELL
  page = Image.new("RGB", (COLUMNS * width, len(lines) * height), PRINT.paper)
  draw = ImageDraw.Draw(page)
  for row, line in enumerate(lines):
    for column, (letter, surprise) in enumerate(line):
      _draw(draw, column * width, row * height, letter, surprise)
  key = _key()
  blank = Image.new("RGB", (page.width, key.height + 10), PRINT.paper)
  blank.paste(key, (0, 0))
  sheet = np.concatenate([np.asarray(blank), np.asarray(page)])
  return captioned(sheet, caption)


def letters(
  pieces: Sequence[bytes], bits: NDArray[np.float64]
) -> Iterator[tuple[str, float]]:
  """Each letter of a text with its bits per byte: the mean over its bytes."""
  sizes = np.array([len(piece) for piece in pieces])
  per_byte = np.repeat(np.asarray(bits, np.float64) / sizes, sizes)
  place = 0
  for letter in b"".join(pieces).decode("utf-8", errors="replace"):
    # a sign that stands for a broken byte is taken for that one byte
    size = 1 if letter == "�" else len(letter.encode())
    yield letter, float(np.mean(per_byte[place : place + size]))
    place = min(place + size, len(per_byte) - 1)


def _lines(text: Sequence[tuple[str, float]]) -> Iterator[list[tuple[str, float]]]:
  line: list[tuple[str, float]] = []
  for letter, surprise in text:
    if len(line) == COLUMNS:
      yield line
      line = []
    line.append((letter, surprise))
    if letter == "\n":
      yield line
      line = []
  if line:
    yield line


def colour_of(surprise: float) -> tuple[int, int, int]:
  """The paper under a letter: white at 0 bits, the full colour at 8."""
  if not np.isfinite(surprise):
    return (0, 0, 0)
  share = float(np.clip(surprise / MOST_BITS, 0, 1))
  white, full = (np.array(ImageColor.getrgb(x)) for x in (PRINT.paper, MARK))
  red, green, blue = np.round(white + share * (full - white)).astype(int).tolist()
  return red, green, blue


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
  path = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSansMono.ttf"
  return ImageFont.truetype(path, SIZE)


def _draw(
  draw: ImageDraw.ImageDraw, x: int, y: int, letter: str, surprise: float
) -> None:
  width, height = CELL
  draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour_of(surprise))
  shown = {"\n": "↵", "\0": "∎"}.get(letter, letter)
  at = (x + width / 2, y + 0.74 * height)
  ink = PRINT.faint if letter == "\n" and surprise < 1 else PRINT.ink
  draw.text(at, shown, font=_font(), fill=ink, anchor="ms")


def _key() -> Image.Image:
  """Nine swatches, from 0 to 8 bits."""
  width, height = CELL
  page = Image.new("RGB", (COLUMNS * width, height), PRINT.paper)
  draw = ImageDraw.Draw(page)
  for bits in range(9):
    x = 3 * bits * width
    draw.rectangle((x, 0, x + 3 * width - 1, height - 1), fill=colour_of(bits))
    words = f"{bits}" + "+" * (bits == 8)
    at = (x + 1.5 * width, 0.74 * height)
    draw.text(at, words, font=_font(), fill=PRINT.ink, anchor="ms")
  at = (28 * width, 0.74 * height)
  draw.text(at, "bits of surprise per byte", font=_font(), fill=PRINT.ink, anchor="ls")
  return page
