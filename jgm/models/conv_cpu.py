"""A convolution and its two gradients as a CPU computes them fast, loops included.

On a CPU, XLA has a fast routine only for a plain forward convolution. What autodiff
writes for the gradients falls back to scalar loops inside a `lax.scan`, where every
training step runs. Here both gradients are plain convolutions, the kernel's with the
batch and the channels in each other's place.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange
from jax import lax

Array = jax.Array
Pair = tuple[int, int]

# XLA's routine packs its input anew for every few output pixels: below this many pixels
# in an image a product over patches is up to 15 times faster.
SMALL_IMAGE = 8
PIECE_BYTES = 128 * 2**10  # of y in one piece of the kernel's gradient: about an L2
MOST_PIECES = 16


class Geometry(NamedTuple):
  """All sizes of a 2-D convolution but the batch and the channels."""

  image: Pair  # H, W
  kernel: Pair  # kh, kw
  strides: Pair
  padding: tuple[Pair, Pair]  # (low, high) for H and for W
  dilation: Pair

  @property
  def output(self) -> Pair:
    """The height and width of the result."""
    h, w = (
      (size + sum(pad) - (k - 1) * d - 1) // s + 1
      for size, k, s, pad, d in zip(
        self.image, self.kernel, self.strides, self.padding, self.dilation, strict=True
      )
    )
    return h, w


def xla_forward(x: Array, kernel: Array, geometry: Geometry) -> Array:
  """XLA's own convolution: [B, H, W, C] and [kh, kw, C, O] to [B, Ho, Wo, O]."""
  return lax.conv_general_dilated(
    x,
    kernel,
    window_strides=geometry.strides,
    padding=geometry.padding,
    rhs_dilation=geometry.dilation,
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


def forward(x: Array, kernel: Array, geometry: Geometry) -> Array:
  """The convolution: [B, H, W, C] and [kh, kw, C, O] to [B, Ho, Wo, O]."""
  if geometry.kernel != (1, 1) and math.prod(geometry.output) > SMALL_IMAGE:
    return xla_forward(x, kernel, geometry)
  columns = rearrange(kernel, "kh kw c o -> (kh kw c) o")
  return _dot(patches(x, geometry), columns, ((3,), (0,))).astype(x.dtype)


def input_grad(y: Array, kernel: Array, geometry: Geometry) -> Array:
  """The transpose in x: [B, Ho, Wo, O] and [kh, kw, C, O] to [B, H, W, C]."""
  if geometry.kernel == (1, 1) or geometry.strides != (1, 1):
    return _scatter_patches(y, kernel, geometry)
  flipped = rearrange(kernel[::-1, ::-1], "kh kw c o -> kh kw o c")
  return forward(y, flipped, _transposed(geometry))


def kernel_grad(x: Array, y: Array, geometry: Geometry) -> Array:
  """The transpose in w: [B, H, W, C] and [B, Ho, Wo, O] to [kh, kw, C, O].

  In pieces of the batch: y is the kernel of a convolution here, and one that stays in
  the cache makes it up to twice as fast.
  """
  bytes_of_y = y.size * y.dtype.itemsize
  pieces = _pieces(x.shape[0], min(MOST_PIECES, math.ceil(bytes_of_y / PIECE_BYTES)))
  if pieces == 1:
    return _kernel_grad(x, y, geometry).astype(x.dtype)
  # The pieces are the minor part of the batch: what is split over devices stays so.
  x, y = (rearrange(a, "(b n) ... -> b n ...", n=pieces) for a in (x, y))

  def add(i: Array, total: Array) -> Array:
    piece = (lax.dynamic_index_in_dim(a, i, axis=1, keepdims=False) for a in (x, y))
    return total + _kernel_grad(*piece, geometry)

  shape = (*geometry.kernel, x.shape[-1], y.shape[-1])
  zero = jnp.zeros(shape, _sum_dtype(x))
  return lax.fori_loop(0, pieces, add, zero).astype(x.dtype)


def _kernel_grad(x: Array, y: Array, geometry: Geometry) -> Array:
  """The same in one piece: a convolution of x with y as the kernel.

  The channels are the batch and the batch the channels; strides and dilation change
  places. Without the transposes XLA would not recognise it.
  """
  if geometry.kernel == (1, 1):
    return _dot(patches(x, geometry), y, ((0, 1, 2), (0, 1, 2)))[None, None]
  padding = []
  for axis in (0, 1):
    low = geometry.padding[axis][0]
    reach = (geometry.output[axis] - 1) * geometry.strides[axis] + 1
    taps = (geometry.kernel[axis] - 1) * geometry.dilation[axis]
    padding.append((low, taps + reach - geometry.image[axis] - low))
  swapped = Geometry(
    geometry.image,
    geometry.output,
    strides=geometry.dilation,
    padding=tuple(padding),
    dilation=geometry.strides,
  )
  x, y = rearrange(x, "b h w c -> c h w b"), rearrange(y, "b h w o -> h w b o")
  return rearrange(xla_forward(x, y, swapped), "c kh kw o -> kh kw c o")


def patches(x: Array, geometry: Geometry) -> Array:
  """What each output pixel sees: [B, H, W, C] to [B, Ho, Wo, kh * kw * C]."""
  padded = lax.pad(x, jnp.zeros((), x.dtype), _pad_config(geometry.padding))
  return jnp.concatenate(
    [_shifted(padded, offset, geometry) for offset in _offsets(geometry)], axis=-1
  )


def _offsets(geometry: Geometry) -> list[Pair]:
  kh, kw = geometry.kernel
  dh, dw = geometry.dilation
  return [(i * dh, j * dw) for i in range(kh) for j in range(kw)]


def _shifted(padded: Array, offset: Pair, geometry: Geometry) -> Array:
  for axis, (low, size, stride) in enumerate(
    zip(offset, geometry.output, geometry.strides, strict=True), start=1
  ):
    high = low + (size - 1) * stride + 1
    padded = lax.slice_in_dim(padded, low, high, stride, axis=axis)
  return padded


def _scatter_patches(y: Array, kernel: Array, geometry: Geometry) -> Array:
  """The transpose of `patches`, applied to y times the transposed kernel."""
  kh, kw, channels, _ = kernel.shape
  columns = _dot(y, rearrange(kernel, "kh kw c o -> (kh kw c) o"), ((3,), (1,)))
  columns = jnp.split(columns, kh * kw, axis=-1)
  zero = jnp.zeros((), columns[0].dtype)
  total = jnp.zeros((y.shape[0], *geometry.image, channels), columns[0].dtype)
  for column, offset in zip(columns, _offsets(geometry), strict=True):
    config = [(0, 0, 0)]
    for axis in (0, 1):
      low = offset[axis] - geometry.padding[axis][0]
      stride = geometry.strides[axis]
      reach = low + (geometry.output[axis] - 1) * stride + 1
      config.append((low, geometry.image[axis] - reach, stride - 1))
    total += lax.pad(column, zero, [*config, (0, 0, 0)])
  return total.astype(y.dtype)


def _transposed(geometry: Geometry) -> Geometry:
  """The geometry of the input's gradient, itself a plain convolution of y."""
  padding = []
  for axis in (0, 1):
    reach = (geometry.kernel[axis] - 1) * geometry.dilation[axis]
    low = reach - geometry.padding[axis][0]
    high = geometry.image[axis] + reach - geometry.output[axis] - low
    padding.append((low, high))
  return geometry._replace(image=geometry.output, padding=tuple(padding))


def _pad_config(padding: tuple[Pair, Pair]) -> list[tuple[int, int, int]]:
  return [(0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0)]


def _pieces(batch: int, wanted: int) -> int:
  """The least number of pieces, at least as many as wanted, that divides the batch."""
  return next((n for n in range(wanted, batch + 1) if batch % n == 0), batch)


def _sum_dtype(a: Array) -> jnp.dtype:
  return jnp.promote_types(a.dtype, jnp.float32)


def _dot(a: Array, b: Array, contracting: tuple[tuple[int, ...], ...]) -> Array:
  """A product in at least float32; `contracting` are the axes of a and those of b."""
  dimensions = (contracting, ((), ()))
  return lax.dot_general(a, b, dimensions, preferred_element_type=_sum_dtype(a))
