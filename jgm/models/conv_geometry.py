"""The sizes of a convolution, and those of the convolutions that are its gradients."""

from typing import NamedTuple

Pair = tuple[int, int]


class Geometry(NamedTuple):
  """All sizes of a 2-D convolution but the batch and the channels."""

  image: Pair  # H, W
  kernel: Pair  # kh, kw
  strides: Pair
  padding: tuple[Pair, Pair]  # (low, high) for H and for W; may be negative
  dilation: Pair

  @property
  def output(self) -> Pair:
    """The height and width of the result."""
    return self._output(0), self._output(1)

  def of_input_grad(self) -> "Geometry":
    """That of the input's gradient, a convolution of y with the kernel turned around.

    For strides of 1 only.
    """
    low, high = [0, 0], [0, 0]
    for a in (0, 1):
      reach = (self.kernel[a] - 1) * self.dilation[a]
      low[a] = reach - self.padding[a][0]
      high[a] = self.image[a] + reach - self.output[a] - low[a]
    padding = (low[0], high[0]), (low[1], high[1])
    return self._replace(image=self.output, padding=padding)

  def of_kernel_grad(self) -> "Geometry":
    """That of the kernel's gradient, a convolution of x with y as the kernel.

    Strides and dilation change places.
    """
    high = [0, 0]
    for a in (0, 1):
      last_tap = (self.kernel[a] - 1) * self.dilation[a]
      reach = (self.output[a] - 1) * self.strides[a] + 1
      high[a] = last_tap + reach - self.image[a] - self.padding[a][0]
    padding = (self.padding[0][0], high[0]), (self.padding[1][0], high[1])
    return Geometry(self.image, self.output, self.dilation, padding, self.strides)

  def _output(self, a: int) -> int:
    span = (self.kernel[a] - 1) * self.dilation[a] + 1
    return (self.image[a] + sum(self.padding[a]) - span) // self.strides[a] + 1
