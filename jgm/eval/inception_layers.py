"""The layers of the Inception network of 2015, up to its last pooling, as a table.

Names are those of torchvision, which pytorch-fid keeps.

Reference: Szegedy et al. 2015, table 1. https://arxiv.org/abs/1512.00567
"""

from typing import NamedTuple


class Layer(NamedTuple):
  """A convolution, a batch normalisation, a rectifier."""

  name: str
  size: int | tuple[int, int]
  channels: int
  stride: int = 1
  padding: str = "SAME"

  @property
  def kernel(self) -> tuple[int, int]:
    """The kernel's height and width."""
    return self.size if isinstance(self.size, tuple) else (self.size, self.size)


# A block is a tuple of chains, which are run side by side and joined along channels. A
# chain's last link may itself be a tuple of layers, side by side. Poolings: "average"
# and "maximum" keep the size, "halve" is a maximum with stride 2.
Link = Layer | str | tuple[Layer, ...]
Chain = tuple[Link, ...]


def block_a(pooled: int) -> tuple[Chain, ...]:
  """1x1, 5x5 and two 3x3 side by side, at 35x35."""
  return (
    (Layer("branch1x1", 1, 64),),
    (Layer("branch5x5_1", 1, 48), Layer("branch5x5_2", 5, 64)),
    (
      Layer("branch3x3dbl_1", 1, 64),
      Layer("branch3x3dbl_2", 3, 96),
      Layer("branch3x3dbl_3", 3, 96),
    ),
    ("average", Layer("branch_pool", 1, pooled)),
  )


def block_c(width: int) -> tuple[Chain, ...]:
  """7x7 kernels as pairs of 1x7 and 7x1, at 17x17."""
  return (
    (Layer("branch1x1", 1, 192),),
    (
      Layer("branch7x7_1", 1, width),
      Layer("branch7x7_2", (1, 7), width),
      Layer("branch7x7_3", (7, 1), 192),
    ),
    (
      Layer("branch7x7dbl_1", 1, width),
      Layer("branch7x7dbl_2", (7, 1), width),
      Layer("branch7x7dbl_3", (1, 7), width),
      Layer("branch7x7dbl_4", (7, 1), width),
      Layer("branch7x7dbl_5", (1, 7), 192),
    ),
    ("average", Layer("branch_pool", 1, 192)),
  )


def block_e(pooling: str) -> tuple[Chain, ...]:
  """3x3 kernels as a 1x3 beside a 3x1, at 8x8."""
  fork = lambda name: (Layer(name + "a", (1, 3), 384), Layer(name + "b", (3, 1), 384))
  return (
    (Layer("branch1x1", 1, 320),),
    (Layer("branch3x3_1", 1, 384), fork("branch3x3_2")),
    (
      Layer("branch3x3dbl_1", 1, 448),
      Layer("branch3x3dbl_2", 3, 384),
      fork("branch3x3dbl_3"),
    ),
    (pooling, Layer("branch_pool", 1, 192)),
  )


STEM: Chain = (
  Layer("Conv2d_1a_3x3", 3, 32, 2, "VALID"),
  Layer("Conv2d_2a_3x3", 3, 32, 1, "VALID"),
  Layer("Conv2d_2b_3x3", 3, 64),
  "halve",
  Layer("Conv2d_3b_1x1", 1, 80),
  Layer("Conv2d_4a_3x3", 3, 192, 1, "VALID"),
  "halve",
)
BLOCKS: dict[str, tuple[Chain, ...]] = {
  "Mixed_5b": block_a(32),
  "Mixed_5c": block_a(64),
  "Mixed_5d": block_a(64),
  "Mixed_6a": (
    (Layer("branch3x3", 3, 384, 2, "VALID"),),
    (
      Layer("branch3x3dbl_1", 1, 64),
      Layer("branch3x3dbl_2", 3, 96),
      Layer("branch3x3dbl_3", 3, 96, 2, "VALID"),
    ),
    ("halve",),
  ),
  "Mixed_6b": block_c(128),
  "Mixed_6c": block_c(160),
  "Mixed_6d": block_c(160),
  "Mixed_6e": block_c(192),
  "Mixed_7a": (
    (Layer("branch3x3_1", 1, 192), Layer("branch3x3_2", 3, 320, 2, "VALID")),
    (
      Layer("branch7x7x3_1", 1, 192),
      Layer("branch7x7x3_2", (1, 7), 192),
      Layer("branch7x7x3_3", (7, 1), 192),
      Layer("branch7x7x3_4", 3, 192, 2, "VALID"),
    ),
    ("halve",),
  ),
  # The network of 2015 pools differently in its last two blocks, and FID with it.
  "Mixed_7b": block_e("average"),
  "Mixed_7c": block_e("maximum"),
}


def layer_shapes() -> dict[str, tuple[int, int, int, int]]:
  """The kernel's shape (kh, kw, in, out) of each of the 94 layers, by its full name."""
  shapes, channels = chain_shapes(STEM, "", 3)
  for block, chains in BLOCKS.items():
    found = [chain_shapes(chain, f"{block}.", channels) for chain in chains]
    channels = sum(joined for _, joined in found)
    for of_chain, _ in found:
      shapes |= of_chain
  return shapes


def chain_shapes(
  chain: Chain, prefix: str, channels: int
) -> tuple[dict[str, tuple[int, int, int, int]], int]:
  """The kernels' shapes of one chain, and the channels that leave it.

  Args:
    chain: its links.
    prefix: of the layers' names.
    channels: that enter.

  Returns:
    ({name: (kh, kw, in, out)}, channels out).
  """
  shapes = {}
  for link in chain:
    layers = side_by_side(link)
    for layer in layers:
      shapes[prefix + layer.name] = (*layer.kernel, channels, layer.channels)
    channels = sum(layer.channels for layer in layers) or channels
  return shapes, channels


def side_by_side(link: Link) -> tuple[Layer, ...]:
  """The layers of a link; none where it is a pooling."""
  if isinstance(link, str):
    return ()
  return (link,) if isinstance(link, Layer) else link
