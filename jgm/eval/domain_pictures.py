"""Pictures of two domains: what examples are taken for, where their features lie."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from jgm.data.spec import DataSpec, to_uint8
from jgm.eval.canvas import PRINT, new_figure, set_title, style, to_picture
from jgm.eval.pictures import Picture

Pair = tuple[np.ndarray, np.ndarray]  # of the source, and of the target
Batch = Mapping[str, Any]

NUM_SHOWN = 12  # images in a row
NUM_POINTS = 400  # of each domain
RIGHT, WRONG = "#4d7c4a", "#c8553d"
DOMAINS = ("#2f6690", "#c8553d")  # source, target


def prediction_sheet(
  predicted: Mapping[str, Pair], test: Batch, spec: DataSpec
) -> Picture:
  """Examples of both domains, each above what it is taken for: green is right.

  Args:
    predicted: training -> the classes found, [N] and [M].
    test: {"x" [N, H, W, C], "label" [N], "x_target" [M, H, W, C], "label_target" [M]}.
    spec: of the images, for their range and the names of the classes.

  Returns:
    [., ., 3] uint8: a row for each training and domain.
  """
  rows = [
    (f"{domain}, {name}", test[x], test[label], of_domain)
    for index, (domain, x, label) in enumerate(
      [("source", "x", "label"), ("target", "x_target", "label_target")]
    )
    for name, of_domain in ((k, pair[index]) for k, pair in predicted.items())
  ]
  figure = new_figure(0.72 * NUM_SHOWN, 1.12 * len(rows))
  places = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
  for place, (title, x, label, found) in zip(places, rows, strict=True):
    right = np.mean(found == label)
    place.suptitle(
      f"{title}: {right:.1%} right", x=0.005, ha="left", fontsize=9.5, color=PRINT.ink
    )
    draw_row(place, x, label, found, spec)
  return to_picture(figure)


def draw_row(
  figure: SubFigure,
  x: np.ndarray,
  label: np.ndarray,
  found: np.ndarray,
  spec: DataSpec,
) -> None:
  """Draws the first images of a domain, in a row."""
  names = spec.class_names or tuple(map(str, range(spec.num_classes)))
  for i in range(min(NUM_SHOWN, len(x))):
    axes = figure.add_subplot(1, NUM_SHOWN, i + 1)
    image = to_uint8(x[i], spec)
    axes.imshow(np.repeat(image, 3 // image.shape[-1], -1), interpolation="lanczos")
    axes.set(xticks=[], yticks=[])
    is_right = found[i] == label[i]
    words = names[found[i]] + ("" if is_right else f", is {names[label[i]]}")
    axes.set_xlabel(words, color=RIGHT if is_right else WRONG, fontsize=8, labelpad=2)
    for side in axes.spines.values():
      side.set(color=RIGHT if is_right else WRONG, linewidth=1.5)


def feature_sheet(features: Mapping[str, Pair], test: Batch) -> Picture:
  """The two widest directions of each training's features, by domain and by class.

  Args:
    features: training -> the features of both domains, [N, D] and [M, D].
    test: {"label" [N], "label_target" [M], ...}.

  Returns:
    [., ., 3] uint8: a row for each training; left by domain, right by class, the
    source's as dots and the target's as crosses.
  """
  figure = new_figure(9.2, 4.4 * len(features))
  for row, (name, pair) in enumerate(features.items()):
    some = [each[:NUM_POINTS] for each in pair]
    labels = [test[key][:NUM_POINTS] for key in ("label", "label_target")]
    together, share = in_widest_plane(np.concatenate(some))
    points = np.split(together, [len(some[0])])
    by_domain, by_class = (
      figure.add_subplot(len(features), 2, 2 * row + column) for column in (1, 2)
    )
    set_title(by_domain, f"{name}: by domain", PRINT)
    set_title(by_class, f"by class; {share:.0%} of the variance", PRINT)
    for axes in (by_domain, by_class):
      set_plane(axes, together)
    for xy, label, colour, marker in zip(points, labels, DOMAINS, "ox", strict=True):
      by_domain.scatter(
        xy[:, 0], xy[:, 1], s=14, color=colour, marker=marker, alpha=0.5, lw=0.8
      )
      by_class.scatter(
        xy[:, 0], xy[:, 1], s=14, c=class_colours(label), marker=marker, lw=0.8
      )
    add_legends(by_domain, by_class, np.unique(labels[0]))
  return to_picture(figure)


def in_widest_plane(features: np.ndarray) -> tuple[np.ndarray, float]:
  """Features [N, D] in their two widest directions [N, 2], and the variance's share."""
  centred = features - features.mean(axis=0, dtype=np.float64)
  left, widths, _ = np.linalg.svd(centred, full_matrices=False)
  share = (widths[:2] ** 2).sum() / max((widths**2).sum(), 1e-12)
  return left[:, :2] * widths[:2], float(share)


def set_plane(axes: Axes, points: np.ndarray) -> None:
  """Makes axes without numbers about points [N, 2]: directions have no unit."""
  style(axes, PRINT)
  axes.grid(visible=False)
  low, high = np.quantile(points, [0.002, 0.998], axis=0)
  margin = 0.05 * (high - low) + 1e-6
  axes.set(
    xticks=[],
    yticks=[],
    xlim=(low[0] - margin[0], high[0] + margin[0]),
    ylim=(low[1] - margin[1], high[1] + margin[1]),
  )


def class_colours(label: np.ndarray) -> np.ndarray:
  """A colour for each class, [N, 4]."""
  from matplotlib import colormaps

  return colormaps["tab10"](label % 10)


def add_legends(by_domain: Axes, by_class: Axes, classes: np.ndarray) -> None:
  """Says which mark is which domain, and which colour which class."""

  def mark(colour: Any, marker: str, words: str) -> Line2D:
    return Line2D([], [], color=colour, marker=marker, ls="", ms=5, label=words)

  words = dict(fontsize=8, labelcolor=PRINT.ink, frameon=False)
  named = zip(DOMAINS, "ox", ("source", "target"), strict=True)
  by_domain.legend(handles=[mark(*each) for each in named], loc="upper right", **words)
  by_class.legend(
    handles=[mark(class_colours(k), "s", str(k)) for k in classes],
    loc="center left",
    bbox_to_anchor=(1.0, 0.5),
    **words,
  )
