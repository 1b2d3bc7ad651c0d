"""A convolution and its two gradients as a CPU computes them fast, loops included.

On a CPU, XLA has a fast routine only for a plain forward convolution. What autodiff
writes for the gradients falls back to scalar loops inside a `lax.scan`, where every
training step runs. Here both gradients are plain forward convolutions, their operands
transposed by hand, or products. With the flags of `jgm.xla` they use every core.
"""

import math

import jax
import jax.numpy as jnp
from einops import rearrange
from jax import lax

from jgm.models import conv_phases
from jgm.models.conv_blocks import (
  blocks_image,
  blocks_kernel,
  has_blocks,
  image_blocks,
  kernel_blocks,
  of_blocks,
)
from jgm.models.conv_geometry import Geometry, Pair

Array = jax.Array

# XLA's routine packs its input anew for every few output pixels: below this many pixels
# in an image a product over patches is up to 15 times faster.
SMALL_IMAGE = 8
# With as few as an image's own channels it does little with each pixel it packs: blocks
# of pixels are up to twice as fast. With more, to make the blocks takes longer.
FEW_CHANNELS = 16


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
  if has_blocks(geometry) and x.shape[-1] < FEW_CHANNELS:
    x, kernel = image_blocks(x, geometry), kernel_blocks(kernel, geometry)
    return forward(x, kernel, of_blocks(geometry))
  if geometry.kernel != (1, 1) and math.prod(geometry.output) > SMALL_IMAGE:
    return xla_forward(x, kernel, geometry)
  columns = rearrange(kernel, "kh kw c o -> (kh kw c) o")
  return _dot(patches(x, geometry), columns, (3,), (0,)).astype(x.dtype)


def input_grad(y: Array, kernel: Array, geometry: Geometry) -> Array:
  """The transpose in x: [B, Ho, Wo, O] and [kh, kw, C, O] to [B, H, W, C]."""
  if has_blocks(geometry):
    if kernel.shape[-2] >= FEW_CHANNELS:
      return conv_phases.input_grad(y, kernel, geometry, forward)
    kernel = kernel_blocks(kernel, geometry)
    return blocks_image(_scatter_patches(y, kernel, of_blocks(geometry)), geometry)
  if geometry.kernel == (1, 1) or geometry.strides != (1, 1):
    return _scatter_patches(y, kernel, geometry)
  flipped = rearrange(kernel[::-1, ::-1], "kh kw c o -> kh kw o c")
  return forward(y, flipped, geometry.of_input_grad())


def kernel_grad(x: Array, y: Array, geometry: Geometry) -> Array:
  """The transpose in w: [B, H, W, C] and [B, Ho, Wo, O] to [kh, kw, C, O].

  A convolution with y as the kernel and the channels as the batch, or where there is
  one tap a product.
  """
  if geometry.kernel == (1, 1):
    axes = (0, 1, 2)
    grad = _dot(patches(x, geometry), y, axes, axes)
    return grad[None, None].astype(x.dtype)
  if has_blocks(geometry):
    grad = kernel_grad(image_blocks(x, geometry), y, of_blocks(geometry))
    return blocks_kernel(grad, geometry)
  x, y = rearrange(x, "b h w c -> c h w b"), rearrange(y, "b h w o -> h w b o")
  grad = xla_forward(x, y, geometry.of_kernel_grad())
  return rearrange(grad, "c kh kw o -> kh kw c o")


def patches(x: Array, geometry: Geometry) -> Array:
  """What each output pixel sees: [B, H, W, C] to [B, Ho, Wo, kh * kw * C]."""
  (top, bottom), (left, right) = geometry.padding
  config = [(0, 0, 0), (top, bottom, 0), (left, right, 0), (0, 0, 0)]
  padded = lax.pad(x, jnp.zeros((), x.dtype), config)
  seen = [_shifted(padded, offset, geometry) for offset in _offsets(geometry)]
  return jnp.concatenate(seen, axis=-1)


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
  columns = _dot(y, rearrange(kernel, "kh kw c o -> (kh kw c) o"), (3,), (1,))
  zero = jnp.zeros((), columns.dtype)
  total = jnp.zeros((y.shape[0], *geometry.image, channels), columns.dtype)
  for column, offset in zip(
    jnp.split(columns, kh * kw, axis=-1), _offsets(geometry), strict=True
  ):
    config = [(0, 0, 0)]
    for a in (0, 1):
      low, stride = offset[a] - geometry.padding[a][0], geometry.strides[a]
      reach = low + (geometry.output[a] - 1) * stride + 1
      config.append((low, geometry.image[a] - reach, stride - 1))
    total += lax.pad(column, zero, [*config, (0, 0, 0)])
  return total.astype(y.dtype)


def _sum_dtype(a: Array) -> jnp.dtype:
  return jnp.promote_types(a.dtype, jnp.float32)


def _dot(a: Array, b: Array, a_axes: tuple[int, ...], b_axes: tuple[int, ...]) -> Array:
  """The product of a and b over the given axes, summed in at least float32."""
  dimensions = ((a_axes, b_axes), ((), ()))
  return lax.dot_general(a, b, dimensions, preferred_element_type=_sum_dtype(a))
