"""The convolution that every model shares: fast on a CPU too, and under `vmap`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jgm.models.conv_geometry import Geometry, Pair
from jgm.models.conv_primitives import forward_p
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
  if x.dtype != kernel.dtype:
    raise ValueError(
      f"conv: x is {x.dtype}, the kernel {kernel.dtype}; cast one of them"
    )


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
