"""The transpose of a strided convolution as one without strides for each phase.

The image's pixels a, a + s, a + 2 s, ... see every s-th tap alone: they are a
convolution of y without strides. The s x t sets of pixels are interleaved at the end,
and nothing is computed that is not used.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange

from jgm.models.conv_geometry import Geometry, Pair

Array = jax.Array
Forward = Callable[[Array, Array, Geometry], Array]


class Phase(NamedTuple):
  """Of one axis, the pixels that are a phase apart from multiples of the stride."""

  taps: slice  # of the kernel, in the order in which they meet y
  padding: Pair  # of y


def input_grad(y: Array, kernel: Array, geometry: Geometry, forward: Forward) -> Array:
  """The transpose in x: [B, Ho, Wo, O] and [kh, kw, C, O] to [B, H, W, C].

  Args:
    y: what the convolution made.
    kernel: the convolution's; each side a whole number of strides wide.
    geometry: the convolution's, without dilation.
    forward: (y, kernel, geometry) -> a convolution without strides.

  Returns:
    [B, H, W, C].
  """
  turned = rearrange(kernel, "kh kw c o -> kh kw o c")
  (kh, kw), (s, t) = geometry.kernel, geometry.strides

  def of_phase(down: Phase, right: Phase) -> Array:
    padding = (down.padding, right.padding)
    shape = Geometry(geometry.output, (kh // s, kw // t), (1, 1), padding, (1, 1))
    return forward(y, turned[down.taps, right.taps], shape)

  rows = [
    jnp.stack([of_phase(down, right) for right in phases(geometry, 1)], axis=3)
    for down in phases(geometry, 0)
  ]
  image = rearrange(jnp.stack(rows, axis=2), "b h s w t c -> b (h s) (w t) c")
  return image[:, : geometry.image[0], : geometry.image[1]]


def phases(geometry: Geometry, axis: int) -> list[Phase]:
  """The phases of an axis, each with as many pixels as the longest has."""
  stride, low = geometry.strides[axis], geometry.padding[axis][0]
  num_taps = geometry.kernel[axis] // stride
  num_pixels = -(-geometry.image[axis] // stride)
  found = []
  for a in range(stride):
    # Pixel a + i s is sum_k y[i + shift - k] w[first + k s].
    shift, first = divmod(a + low, stride)
    before = num_taps - 1 - shift
    after = num_pixels + shift - geometry.output[axis]
    taps = slice(first + (num_taps - 1) * stride, None, -stride)
    found.append(Phase(taps, (before, after)))
  return found
