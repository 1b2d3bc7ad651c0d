"""Floating-point operations of a product or a convolution, from its line of HLO."""

import math
import re

import numpy as np

from jgm.plan.hlo import Computation, Instruction


def product_flops(inside: Computation, instruction: Instruction) -> int:
  """Multiplications and additions of a `dot` or a `convolution`; 0 of all others.

  What a convolution multiplies with its padding, or with the zeros between the rows of
  a dilated array, is not counted: nobody asked for it.

  Args:
    inside: the computation that the instruction is in.
    instruction: any.

  Returns:
    The operations, two for each product of two numbers.
  """
  if instruction.opcode == "dot":
    return _dot_flops(inside, instruction)
  if instruction.opcode == "convolution":
    return _convolution_flops(inside, instruction)
  return 0


def _dot_flops(inside: Computation, dot: Instruction) -> int:
  left = inside.shapes_of(dot.operands[:1])[0]
  contracted = _numbers(dot, "lhs_contracting_dims")
  return 2 * dot.shapes[0].size * math.prod(left.dims[axis] for axis in contracted)


def _convolution_flops(inside: Computation, convolution: Instruction) -> int:
  left, kernel = inside.shapes_of(convolution.operands[:2])
  out = convolution.shapes[0]
  labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", convolution.attributes)
  assert labels is not None, convolution
  of_left, of_kernel, of_out = labels.groups()
  per_position = out.dims[of_out.index("b")] * out.dims[of_out.index("f")]
  total = 2 * per_position * kernel.dims[of_kernel.index("i")]
  for number, axis in enumerate(sorted(set(of_out) - {"b", "f"}, key=int)):
    total *= _meetings(
      left.dims[of_left.index(axis)],
      kernel.dims[of_kernel.index(axis)],
      out.dims[of_out.index(axis)],
      **_window(convolution, number),
    )
  return total


def _meetings(
  length: int,
  kernel: int,
  out: int,
  *,
  stride: int,
  pad: int,
  lhs_dilate: int,
  rhs_dilate: int,
) -> int:
  """How many pairs (output, place in the kernel) fall on an element, along an axis."""
  places = np.arange(out)[:, None] * stride + np.arange(kernel) * rhs_dilate - pad
  inside = (places >= 0) & (places <= (length - 1) * lhs_dilate)
  return int(np.sum(inside & (places % lhs_dilate == 0)))


def _window(convolution: Instruction, number: int) -> dict[str, int]:
  """The window of the axis of that number, as `_meetings` takes it."""
  found = re.search(r"window=\{([^}]*)\}", convolution.attributes)
  fields = dict(f.split("=") for f in found.group(1).split()) if found else {}

  def field(name: str, default: str) -> str:
    return fields[name].split("x")[number] if name in fields else default

  return {
    "stride": int(field("stride", "1")),
    "pad": int(field("pad", "0_0").split("_")[0]),
    "lhs_dilate": int(field("lhs_dilate", "1")),
    "rhs_dilate": int(field("rhs_dilate", "1")),
  }


def _numbers(instruction: Instruction, name: str) -> list[int]:
  found = re.search(rf"{name}=\{{([\d,]*)\}}", instruction.attributes)
  return [int(n) for n in found.group(1).split(",") if n] if found else []
