"""Pictures as uint8 arrays: grids, comparisons, trajectories, neighbours, as PNG."""

import functools
import io
import itertools
import os
from collections.abc import Sequence

import chex
import matplotlib
import numpy as np
from einops import rearrange
from etils import epath
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from jgm.data.spec import DataSpec
from jgm.eval.plots import scatter_2d

Picture = NDArray[np.uint8]  # [H, W, 3]

CELL = 96  # px; the side that a small image is enlarged to, as nearly as it divides
PAPER, INK = 255, 90  # grey levels of the sheet and of its captions
GAP = 224  # grey level between images: seen beside black ones and beside white ones
BROKEN = (214, 40, 57)  # an image that is not finite is painted in this red


@functools.cache
def _enlarging_matrix(size: int, factor: int) -> NDArray[np.float32]:
  # Resampling is linear, so resizing the identity yields the matrix that does it; each
  # image is enlarged by itself and its neighbours in the grid do not bleed into it.
  identity = Image.fromarray(np.eye(size, dtype=np.float32))
  return np.asarray(identity.resize((size, size * factor), Image.Resampling.LANCZOS))


def to_cells(
  images: ArrayLike, *, low: float = -1.0, high: float = 1.0, enlarge: int | None = None
) -> Picture:
  """Images as grey or colour levels, the small ones enlarged by a smooth kernel.

  Args:
    images: [N, H, W, C] float, C = 1 or 3. Values beyond the range are clipped.
    low: the value drawn black.
    high: the value drawn white.
    enlarge: whole factor; None chooses one that brings the longer side near 96 px and
      leaves larger images as they are.

  Returns:
    [N, H * enlarge, W * enlarge, 3] uint8. An image with a pixel that is not finite
    is all red: a NaN must be seen, not drawn as black.

  Raises:
    ValueError: where the images are not [N, H, W, 1 or 3], or low >= high.

  A test holds that a constant image stays constant, whatever the factor.
  """
  images = np.asarray(images, np.float32)
  if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
    raise ValueError(f"images must be [N, H, W, 1 or 3], not {list(images.shape)}")
  if not low < high:
    raise ValueError(f"low must be less than high, not {low} and {high}")
  height, width = images.shape[1:3]
  factor = enlarge or max(1, CELL // max(height, width))
  broken = ~np.isfinite(images).all(axis=(1, 2, 3))
  images = np.where(broken[:, None, None, None], low, images)
  unit = (np.clip(images, low, high) - low) / (high - low)
  if factor > 1:
    rows = _enlarging_matrix(height, factor)
    columns = _enlarging_matrix(width, factor)
    unit = np.einsum("yh,nhwc,xw->nyxc", rows, unit, columns, optimize=True)
  cells = np.round(255 * np.clip(unit, 0, 1)).astype(np.uint8)
  cells = np.repeat(cells, 3 // cells.shape[-1], axis=-1)
  cells[broken] = BROKEN
  return cells


def tile(cells: Picture, *, columns: int, gap: int) -> Picture:
  """Cells [N, h, w, 3] set row by row in `columns`, with `gap` px of grey between."""
  rows = -(-len(cells) // columns)
  blank = np.full((rows * columns - len(cells), *cells.shape[1:]), GAP, np.uint8)
  padding = ((0, 0), (0, gap), (0, gap), (0, 0))
  cells = np.pad(np.concatenate([cells, blank]), padding, constant_values=GAP)
  sheet = rearrange(cells, "(r c) h w k -> (r h) (c w) k", c=columns)
  return sheet[: sheet.shape[0] - gap, : sheet.shape[1] - gap]


def sample_grid(
  images: ArrayLike,
  *,
  low: float = -1.0,
  high: float = 1.0,
  columns: int | None = None,
  gap: int = 4,
  enlarge: int | None = None,
) -> Picture:
  """A grid of images with gaps between them, small ones enlarged for a human eye.

  Args:
    images: [N, H, W, C] float, C = 1 or 3.
    low: the value drawn black.
    high: the value drawn white.
    columns: images in a row; None makes the grid about square.
    gap: px of light grey between images.
    enlarge: whole factor; None brings small images near 96 px.

  Returns:
    [rows * (h + gap) - gap, columns * (w + gap) - gap, 3] uint8, row by row.

  Raises:
    ValueError: where the images are not [N, H, W, 1 or 3].
  """
  cells = to_cells(images, low=low, high=high, enlarge=enlarge)
  columns = min(columns or int(np.ceil(np.sqrt(len(cells)))), len(cells))
  return tile(cells, columns=columns, gap=gap)


def side_by_side(
  samples: ArrayLike, real: ArrayLike, *, low: float = -1.0, high: float = 1.0
) -> Picture:
  """Two captioned grids on one sheet, the samples left and real images right.

  Args:
    samples: [N, H, W, C] float.
    real: [N, H, W, C] float, of the same shape.
    low: the value drawn black.
    high: the value drawn white.

  Returns:
    [., ., 3] uint8, both grids drawn by the same rule, so that they can be compared.

  Raises:
    AssertionError: where the shapes differ.
  """
  samples, real = np.asarray(samples), np.asarray(real)
  chex.assert_equal_shape([samples, real])
  left, right = (sample_grid(images, low=low, high=high) for images in (samples, real))
  space = np.full((len(left), 40, 3), PAPER, np.uint8)
  sheet = np.concatenate([left, space, right], axis=1)
  return _write_above(sheet, [(0, "samples"), (left.shape[1] + 40, "real, held out")])


def trajectory_strip(
  frames: ArrayLike,
  *,
  low: float = -1.0,
  high: float = 1.0,
  captions: Sequence[str] | None = None,
) -> Picture:
  """How samples arise: time runs left to right, one sample to a row.

  Args:
    frames: [K, N, H, W, C] float, from noise (first) to sample (last).
    low: the value drawn black; noise beyond the range is clipped.
    high: the value drawn white.
    captions: K words, one above each column, such as "t = 0.75"; None writes none.

  Returns:
    [., ., 3] uint8 of K columns and N rows.

  Raises:
    ValueError: where there are not K captions.
  """
  frames = np.asarray(frames)
  chex.assert_rank(frames, 5)
  steps = len(frames)
  if captions is not None and len(captions) != steps:
    raise ValueError(f"{steps} frames need {steps} captions, not {len(captions)}")
  by_sample = rearrange(frames, "k n h w c -> (n k) h w c")
  sheet = sample_grid(by_sample, low=low, high=high, columns=steps)
  if captions is None:
    return sheet
  pitch = (sheet.shape[1] + 4) / steps
  return _write_above(sheet, [(i * pitch, text) for i, text in enumerate(captions)])


def neighbour_pairs(
  samples: ArrayLike,
  nearest: ArrayLike,
  *,
  low: float = -1.0,
  high: float = 1.0,
  columns: int = 10,
  caption: str = "above: a sample · below: the training image nearest to it",
) -> Picture:
  """Each sample above the training image nearest to it: is the model copying?

  Args:
    samples: [N, H, W, C] float.
    nearest: [N, H, W, C] float, the training image nearest to each sample.
    low: the value drawn black.
    high: the value drawn white.
    columns: pairs in a row.
    caption: what is written above; empty writes nothing.

  Returns:
    [., ., 3] uint8. The two of a pair touch; pairs stand apart.

  Raises:
    AssertionError: where the shapes differ.
  """
  samples, nearest = np.asarray(samples), np.asarray(nearest)
  chex.assert_equal_shape([samples, nearest])
  above, below = (to_cells(x, low=low, high=high) for x in (samples, nearest))
  seam = np.full((len(above), 2, above.shape[2], 3), GAP, np.uint8)
  pairs = np.concatenate([above, seam, below], axis=1)
  sheet = tile(pairs, columns=min(columns, len(pairs)), gap=14)
  return captioned(sheet, caption) if caption else sheet


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
  # The face that ships inside matplotlib: the same letters on every machine.
  return ImageFont.truetype(
    f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size
  )


def _caption_size(width: int, words: Sequence[tuple[float, str]]) -> int:
  # Large letters on a large sheet, which a page will show reduced; smaller ones where
  # a word would run into the next.
  rooms = [right - left for (left, _), (right, _) in itertools.pairwise(words)]
  for size in range(int(np.clip(width / 36, 13, 40)), 7, -1):
    lengths = [_font(size).getlength(text + " ") for _, text in words]
    if all(length <= room for length, room in zip(lengths, rooms, strict=False)):
      return size
  return 7


def _write_above(sheet: Picture, words: Sequence[tuple[float, str]]) -> Picture:
  size = _caption_size(sheet.shape[1], words)
  font = _font(size)
  head = 2 * size
  # As wide as the words need: a caption is never cut off.
  right = max(x + font.getlength(text) for x, text in words)
  width = max(sheet.shape[1], int(np.ceil(right)) + 2)
  page = Image.new("RGB", (width, sheet.shape[0] + head), (PAPER,) * 3)
  page.paste(Image.fromarray(sheet), (0, head))
  for x, text in words:
    at = (x, head - 0.6 * size)
    ImageDraw.Draw(page).text(at, text, font=font, fill=(INK,) * 3, anchor="ls")
  return np.asarray(page)


def captioned(sheet: Picture, caption: str) -> Picture:
  """A picture [H, W, 3] with one line of words above it."""
  return _write_above(sheet, [(0, caption)])


def png_bytes(picture: ArrayLike) -> bytes:
  """A picture [H, W, 3] uint8 as the bytes of a PNG file, the same on each call.

  Raises:
    ValueError: where the picture is not uint8 [H, W, 3].
  """
  picture = np.asarray(picture)
  if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
    found = f"{picture.dtype} {list(picture.shape)}"
    raise ValueError(f"a picture is uint8 [H, W, 3], not {found}")
  file = io.BytesIO()
  Image.fromarray(picture).save(file, "PNG", optimize=True)
  return file.getvalue()


def write_png(path: str | os.PathLike[str], picture: ArrayLike) -> None:
  """Writes a picture [H, W, 3] uint8 as a PNG file, making the folders it needs."""
  file = epath.Path(path)
  file.parent.mkdir(parents=True, exist_ok=True)
  file.write_bytes(png_bytes(picture))


def sample_picture(
  samples: ArrayLike,
  spec: DataSpec,
  real: ArrayLike | None = None,
  *,
  enlarge: int | None = None,
) -> Picture:
  """Samples as one looks at them: images in a grid, points in the plane.

  Args:
    samples: [N, H, W, C] or [N, 2] float.
    spec: the data's, for the value range.
    real: the same of real data, which are set beside them; None draws samples alone.
    enlarge: of images alone, see `sample_grid`.

  Returns:
    [., ., 3] uint8.

  Raises:
    ValueError: where the samples are neither images nor points.
  """
  samples = np.asarray(samples)
  if samples.ndim == 2:
    return scatter_2d(samples, real)
  if real is None:
    return sample_grid(samples, low=spec.low, high=spec.high, enlarge=enlarge)
  return side_by_side(samples, real, low=spec.low, high=spec.high)
