"""The convolutions that every model shares: fast on a CPU too, and under `vmap`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jgm.models.conv_geometry import Geometry, Pair
from jgm.models.conv_primitives import forward_p, input_grad_p
from jgm.models.pixels import add_bias

Array = jax.Array
Padding = str | Sequence[Pair]


def conv(
  x: Array,
  kernel: Array,
  *,
  strides: int | Sequence[int] = 1,
  padding: Padding = "SAME",
  dilation: int | Sequence[int] = 1,
) -> Array:
  """The convolution (cross-correlation) of x with a kernel, in x's dtype.

  Args:
    x: [B, H, W, C], or [B, L, C] for one in time.
    kernel: [kh, kw, C, O], or [k, C, O]; the dtype of x.
    strides: one for all axes, or one per axis.
    padding: "SAME" (ceil(size / stride) outputs), "VALID", or (low, high) per axis.
    dilation: the distance between the kernel's taps, for all axes or one per axis.

  Returns:
    [B, Ho, Wo, O], or [B, Lo, O]. Equal to `lax.conv_general_dilated`, and so are its
    derivatives of every order and mode, mapped or not.

  Raises:
    ValueError: where the shapes or dtypes do not belong together.
  """
  _check(x, kernel)
  if x.ndim == 3:
    pads = padding if isinstance(padding, str) else ((0, 0), *padding)
    (stride,), (step,) = _per_axis(strides, 1), _per_axis(dilation, 1)
    y = conv(
      x[:, None], kernel[None], strides=(1, stride), padding=pads, dilation=(1, step)
    )
    return y[:, 0]
  geometry = _geometry(x.shape, kernel.shape, strides, padding, dilation)
  return forward_p.bind(x[None], kernel[None], geometry=geometry)[0]


def conv_transpose(
  x: Array,
  kernel: Array,
  *,
  image: Sequence[int],
  strides: int | Sequence[int] = 1,
  padding: Padding = "SAME",
  dilation: int | Sequence[int] = 1,
) -> Array:
  """The transpose of `conv` in its images: what `conv` makes smaller is made larger.

  Args:
    x: [B, h, w, O], of the size that `conv` makes of `image`.
    kernel: [kh, kw, C, O], that of the `conv` which takes C channels to O.
    image: (H, W) of the result. With strides it does not follow from x: both 7 and 8
      are halved to 4.
    strides: those of the `conv`, and likewise its padding and dilation.
    padding: see `conv`.
    dilation: see `conv`.

  Returns:
    [B, H, W, C], such that <conv_transpose(x), y> = <x, conv(y)> for every image y.
    Equal to the transpose of `lax.conv_general_dilated`, in all derivatives too.

  Raises:
    ValueError: where the shapes or dtypes do not belong together, or x is not of the
      size that `conv` makes of `image`.
  """
  _check_transpose(x, kernel, image)
  shape = (len(x), *image, kernel.shape[-2])
  geometry = _geometry(shape, kernel.shape, strides, padding, dilation)
  if geometry.output != x.shape[1:3]:
    raise ValueError(
      f"conv_transpose: an image of {image[0]} x {image[1]} comes from one of "
      f"{geometry.output[0]} x {geometry.output[1]}, not of {x.shape[1]} x {x.shape[2]}"
    )
  return input_grad_p.bind(x[None], kernel[None], geometry=geometry)[0]


class Conv(nn.Module):
  """A convolution with a kernel and a bias; arguments as `conv`, output [B, ..., O].

  Parameters are float32; the computation runs in `dtype`.
  """

  features: int
  kernel_size: int | Sequence[int] = 3
  strides: int | Sequence[int] = 1
  padding: Padding = "SAME"
  dilation: int | Sequence[int] = 1
  use_bias: bool = True
  dtype: Any = jnp.float32
  kernel_init: Callable[..., Array] = nn.initializers.lecun_normal()

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Convolves x [B, H, W, C] or [B, L, C]."""
    size = _per_axis(self.kernel_size, x.ndim - 2)
    shape = (*size, x.shape[-1], self.features)
    kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
    y = conv(
      x.astype(self.dtype),
      kernel.astype(self.dtype),
      strides=self.strides,
      padding=self.padding,
      dilation=self.dilation,
    )
    if self.use_bias:
      bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
      y = add_bias(y, bias)
    return y


class ConvTranspose(nn.Module):
  """The transpose of a convolution, with a kernel and a bias; as `conv_transpose`.

  Parameters are float32; the computation runs in `dtype`.
  """

  features: int
  image: Sequence[int]  # (H, W) of the result
  kernel_size: int | Sequence[int] = 4
  strides: int | Sequence[int] = 2
  padding: Padding = "SAME"
  use_bias: bool = True
  dtype: Any = jnp.float32
  kernel_init: Callable[..., Array] = nn.initializers.lecun_normal(
    in_axis=-1, out_axis=-2
  )

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """x [B, h, w, C] to [B, H, W, features]."""
    size = _per_axis(self.kernel_size, 2)
    shape = (*size, self.features, x.shape[-1])
    kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
    y = conv_transpose(
      x.astype(self.dtype),
      kernel.astype(self.dtype),
      image=self.image,
      strides=self.strides,
      padding=self.padding,
    )
    if self.use_bias:
      bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
      y = add_bias(y, bias)
    return y


def _check(x: Array, kernel: Array) -> None:
  if x.ndim not in (3, 4) or kernel.ndim != x.ndim:
    raise ValueError(
      f"conv takes x [B, H, W, C] with a kernel [kh, kw, C, O], or x [B, L, C] with "
      f"[k, C, O]; got {x.shape} and {kernel.shape}"
    )
  if x.shape[-1] != kernel.shape[-2]:
    raise ValueError(
      f"conv: x has {x.shape[-1]} channels {x.shape}, the kernel takes "
      f"{kernel.shape[-2]} {kernel.shape}"
    )
  _check_dtypes(x, kernel)


def _check_transpose(x: Array, kernel: Array, image: Sequence[int]) -> None:
  if x.ndim != 4 or kernel.ndim != 4 or len(image) != 2:
    raise ValueError(
      f"conv_transpose takes x [B, h, w, O], a kernel [kh, kw, C, O] and an image "
      f"(H, W); got {x.shape}, {kernel.shape} and {tuple(image)}"
    )
  if x.shape[-1] != kernel.shape[-1]:
    raise ValueError(
      f"conv_transpose: x has {x.shape[-1]} channels {x.shape}, the kernel takes "
      f"{kernel.shape[-1]} {kernel.shape}"
    )
  _check_dtypes(x, kernel)


def _check_dtypes(x: Array, kernel: Array) -> None:
  if x.dtype != kernel.dtype:
    raise ValueError(f"x is {x.dtype}, the kernel {kernel.dtype}; cast one of them")


def _per_axis(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
  return (value,) * axes if isinstance(value, int) else tuple(value)


def _geometry(
  x_shape: tuple[int, ...],
  kernel_shape: tuple[int, ...],
  strides: int | Sequence[int],
  padding: Padding,
  dilation: int | Sequence[int],
) -> Geometry:
  (height, width), (kh, kw) = x_shape[1:3], kernel_shape[:2]
  (sh, sw), (dh, dw) = _per_axis(strides, 2), _per_axis(dilation, 2)
  if isinstance(padding, str):
    span = ((kh - 1) * dh + 1, (kw - 1) * dw + 1)
    padding = jax.lax.padtype_to_pads((height, width), span, (sh, sw), padding)
  (top, bottom), (left, right) = padding
  pads = (int(top), int(bottom)), (int(left), int(right))
  geometry = Geometry((height, width), (kh, kw), (sh, sw), pads, (dh, dw))
  if min(geometry.output) < 1:
    raise ValueError(
      f"conv: an image of {height} x {width} is smaller than the kernel of {kh} x {kw}"
    )
  return geometry
