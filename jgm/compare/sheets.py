"""Samples side by side: as many of each method, in the same grid, beside real ones."""

from collections.abc import Mapping, Sequence

import numpy as np
from einops import rearrange

from jgm.compare.entry import Entry
from jgm.core.experiment import Dataset
from jgm.eval.pictures import PAPER, Picture, captioned, sample_picture
from jgm.eval.results import format_number

CELL = 48  # px, of an image, as nearly as it divides: many sheets stand on one page
COLUMNS = 3  # of sheets in a poster
GAP = 24  # px between them
REAL = "real, held out"


def make_sheets(
  entries: Sequence[Entry], data: Dataset, quantity: str, num_shown: int
) -> dict[str, Picture]:
  """A sheet of each method, and one of real examples.

  Args:
    entries: the methods, in the order that they are shown in.
    data: what they were trained on; its first held-out examples are the real ones.
    quantity: the number that stands beside a method's name.
    num_shown: examples on each sheet, where there are as many.

  Returns:
    Caption -> picture [H, W, 3], all of one size; the real examples first. The first
    samples are shown as they were drawn: none is chosen.
  """
  spec = data.spec
  enlarge = max(1, CELL // max(spec.shape[:2]))
  real = np.asarray(data.split("test")["x"])
  num_shown = min(num_shown, len(real), *(len(entry.samples) for entry in entries))
  shown = {_caption(REAL, entries[0].scalars[quantity].floor): real[:num_shown]}
  for entry in entries:
    value = entry.scalars[quantity].value
    shown[_caption(entry.name, value)] = entry.samples[:num_shown]
  return {
    caption: sample_picture(rows, spec, enlarge=enlarge)
    for caption, rows in shown.items()
  }


def poster(sheets: Mapping[str, Picture]) -> Picture:
  """All sheets in one picture, each below its caption.

  Args:
    sheets: caption -> picture, all of one size.

  Returns:
    [., ., 3] uint8.
  """
  pages = [captioned(sheet, caption) for caption, sheet in sheets.items()]
  height, width = (max(page.shape[i] for page in pages) for i in (0, 1))
  columns = min(COLUMNS, len(pages))
  num_cells = -(-len(pages) // columns) * columns
  cells = np.full((num_cells, height + GAP, width + GAP, 3), PAPER, np.uint8)
  for cell, page in zip(cells, pages, strict=False):
    cell[: page.shape[0], : page.shape[1]] = page
  whole = rearrange(cells, "(r c) h w k -> (r h) (c w) k", c=columns)
  return whole[:-GAP, :-GAP]


def _caption(name: str, value: float | None) -> str:
  return f"{name}: {format_number(value)}"
