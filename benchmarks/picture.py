"""The results as one picture: `python -m benchmarks.picture runs/benchmark.json`.

It draws runs/benchmark.png again from what `python -m benchmarks` wrote there, and
prints the table.
"""

import argparse
import itertools
import json
import math
import pathlib
import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.summary import Row, rows, table
from jgm.eval.canvas import PRINT, new_figure, set_title, style, to_picture
from jgm.eval.pictures import write_png

FASTER, SLOWER = "#2f6690", "#f0d9d0"  # dark and, in grey too, light with an edge
EDGE = "#a33f26"
ROW, GAP = 0.27, 0.5  # inches of a row; rows between two benches
MOST_LETTERS = 70  # of a reason


def picture(found: list[Row], machine: dict[str, Any]) -> NDArray[np.uint8]:
  """One bar for each workload, from 1 to jgm's speed over the best peer's.

  Args:
    found: of `benchmarks.summary.rows`.
    machine: of `benchmarks.machine.limits`.

  Returns:
    [., ., 3] uint8, 1280 pixels wide. A whisker goes from the least round to the
    greatest. A workload without a ratio has its reason in the place of a bar.

  Raises:
    ValueError: if there is no row.
  """
  if not found:
    raise ValueError("there is no workload to draw")
  heights = places(found)
  figure = new_figure(8.0, 1.1 + ROW * (heights[-1] + 1))
  axes = figure.add_subplot()
  style(axes, PRINT)
  axes.grid(axis="y", visible=False)
  axes.grid(axis="x", color=PRINT.faint, lw=0.6)
  low, high = reach(found)
  axes.set(xlim=(low, high), ylim=(heights[-1] + 0.8, -0.8))
  for height, row in zip(heights, found, strict=True):
    _draw_row(axes, height, row)
  axes.axvline(0, color=PRINT.ink, lw=1.0)
  axes.set_yticks(heights, [row.title for row in found])
  ticks = list(range(math.ceil(low), math.floor(high) + 1))
  axes.xaxis.set_major_locator(FixedLocator(ticks))
  axes.set_xticklabels([_power(tick) for tick in ticks])
  axes.set_xlabel("jgm's speed over the best peer's", fontsize=9, color=PRINT.ink)
  words = f"{machine['processor']}, {machine['threads']} threads"
  set_title(axes, f"Right of the line jgm is faster ({words})", PRINT)
  return to_picture(figure)


def places(found: list[Row]) -> list[float]:
  """How far down each row is, in rows, with a gap before another bench."""
  heights = [0.0]
  for before, row in itertools.pairwise(found):
    heights.append(heights[-1] + 1 + GAP * (row.bench != before.bench))
  return heights


def reach(found: list[Row]) -> tuple[float, float]:
  """From where to where the axis goes, in powers of 2: all rounds, and -1 to 1."""
  logs = [math.log2(ratio) for row in found for ratio in row.ratios]
  return min([-1.0, *logs]) - 0.15, max([1.0, *logs]) + 0.15


def _draw_row(axes: Axes, height: float, row: Row) -> None:
  """The bar, its whisker, and on the right the number and the peer."""
  words = {"va": "center", "fontsize": 8, "color": PRINT.ink, "parse_math": False}
  if not row.ratios:
    reason = textwrap.shorten(row.reason, MOST_LETTERS, placeholder=" ...")
    axes.text(0.05, height, reason, fontstyle="italic", **words)
    return
  value = math.log2(row.ratio)
  colours = (FASTER, FASTER) if value >= 0 else (SLOWER, EDGE)
  axes.barh(height, value, height=0.62, color=colours[0], edgecolor=colours[1], lw=0.8)
  spread = [math.log2(min(row.ratios)), math.log2(max(row.ratios))]
  for colour, width, size in ((PRINT.paper, 2.6, 7), (PRINT.ink, 1.2, 5)):  # a rim
    axes.plot(spread, [height] * 2, color=colour, lw=width, marker="|", ms=size)
  beside = {"transform": axes.get_yaxis_transform(), **words}  # x: of the axes
  axes.text(1.08, height, f"{row.ratio:.2f}", ha="right", **beside)
  axes.text(1.1, height, row.peer + " *" * bool(row.reason), **beside)


def _power(exponent: int) -> str:
  """2 to a power, as it is read: 1/4, 1/2, 1, 2."""
  return f"{2**exponent}" if exponent >= 0 else f"1/{2**-exponent}"


def show(report: dict[str, Any], out: pathlib.Path, console: Console) -> None:
  """Prints the table of a report, and draws it where its JSON is, as a PNG."""
  found = rows(report)
  console.print(table(found, report["machine"]))
  for row in found:
    if row.reason:
      console.print(f"{row.title}: {row.reason}", highlight=False)
  write_png(out.with_suffix(".png"), picture(found, report["machine"]))
  console.print(f"written to {out} and {out.with_suffix('.png')}")


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("report", type=pathlib.Path, help="such as runs/benchmark.json")
  file = parser.parse_args().report
  show(json.loads(file.read_text()), file, Console())


if __name__ == "__main__":
  main()
