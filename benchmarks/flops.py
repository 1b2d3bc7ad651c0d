"""Operations in the convolutions and products of a function, counted in its jaxpr."""

import math
from collections.abc import Callable
from typing import Any

import jax


def forward_flops(f: Callable[..., Any], *args: Any) -> int:
  """Floating-point operations of f's convolutions and products; nothing is computed.

  Args:
    f: a function of jax, such as a network's `apply`.
    *args: its arguments, or their shapes.
  """
  return _flops(jax.make_jaxpr(f)(*args).jaxpr)


def _flops(jaxpr: Any) -> int:
  total = 0
  for eqn in jaxpr.eqns:
    out = eqn.outvars[0].aval
    if eqn.primitive.name == "jgm_conv_forward":
      total += 2 * out.size * math.prod(eqn.invars[1].aval.shape[1:4])
    elif eqn.primitive.name == "jgm_conv_input_grad":  # a transposed convolution
      image, kernel = (v.aval for v in eqn.invars)
      total += 2 * image.size * math.prod(kernel.shape[1:4])
    elif eqn.primitive.name == "dot_general":
      (contracted, _), _ = eqn.params["dimension_numbers"]
      total += 2 * out.size * math.prod(eqn.invars[0].aval.shape[a] for a in contracted)
    for inner in jax.tree.leaves(list(eqn.params.values()), is_leaf=_is_jaxpr):
      total += _flops(getattr(inner, "jaxpr", inner)) if _is_jaxpr(inner) else 0
  return total


def _is_jaxpr(value: Any) -> bool:
  return hasattr(value, "eqns") or hasattr(value, "jaxpr")
