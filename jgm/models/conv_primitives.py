"""The three linear maps of a convolution as primitives of JAX.

A convolution y = conv(x, w) is linear in x and in w, and so are its gradients:

    forward(x, w) -> y      input_grad(y, w) -> x      kernel_grad(x, y) -> w

Each is a transpose of the others, so the three are closed under differentiation, in
forward and in reverse mode, as often as one likes. They are primitives because two
things have to be said about them that plain functions cannot say:

- what they are on a CPU (`conv_cpu.py`), decided when the program is lowered, so that a
  program compiled on a laptop for a TPU is the TPU's. Elsewhere they are XLA's own.
- what they are under `vmap`. Mapped weights (`num_seeds`) become a leading axis S of
  runs; what is mapped on one side only is folded into the batch or the channels.

All operands and results carry the axis S: x [S, B, H, W, C], w [S, kh, kw, C, O].
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jgm.models import conv_cpu
from jgm.models.conv_geometry import Geometry, Pair

Array = jax.Array

forward_p = Primitive("jgm_conv_forward")
input_grad_p = Primitive("jgm_conv_input_grad")
kernel_grad_p = Primitive("jgm_conv_kernel_grad")


def _forward_shape(x, kernel, geometry: Geometry):
  return (*x.shape[:2], *geometry.output, kernel.shape[-1])


def _input_grad_shape(y, kernel, geometry: Geometry):
  return (*y.shape[:2], *geometry.image, kernel.shape[-2])


def _kernel_grad_shape(x, y, geometry: Geometry):
  return (x.shape[0], *geometry.kernel, x.shape[-1], y.shape[-1])


def _xla_input_grad(y: Array, kernel: Array, geometry: Geometry) -> Array:
  x = jax.ShapeDtypeStruct((y.shape[0], *geometry.image, kernel.shape[-2]), y.dtype)
  f = lambda x: conv_cpu.xla_forward(x, kernel, geometry)
  return jax.linear_transpose(f, x)(y)[0]


def _xla_kernel_grad(x: Array, y: Array, geometry: Geometry) -> Array:
  shape = (*geometry.kernel, x.shape[-1], y.shape[-1])
  f = lambda kernel: conv_cpu.xla_forward(x, kernel, geometry)
  return jax.linear_transpose(f, jax.ShapeDtypeStruct(shape, x.dtype))(y)[0]


def _over_runs(f: Callable[..., Array], in_turn: bool) -> Callable[..., Array]:
  """f over the leading axis S: its runs in turn, or all at once."""

  def over_runs(a: Array, b: Array, *, geometry: Geometry) -> Array:
    g = lambda a, b: f(a, b, geometry)
    if a.shape[0] == 1:
      return g(a[0], b[0])[None]
    return jax.lax.map(lambda ab: g(*ab), (a, b)) if in_turn else jax.vmap(g)(a, b)

  return over_runs


def _define(primitive: Primitive, shape, cpu, xla, merges: tuple[Pair, Pair]) -> None:
  """What a primitive is: its shape, its programs, its rule under vmap.

  Args:
    primitive: the primitive.
    shape: (a, b, geometry) -> the result's shape.
    cpu: the function of one run, on a CPU.
    xla: the function of one run, elsewhere.
    merges: for an axis mapped on the first operand only: the axis of that operand that
      it is folded into, and the axis of the result where it then is; the same for the
      second operand.
  """
  primitive.def_abstract_eval(
    lambda a, b, *, geometry: a.update(shape=shape(a, b, geometry), weak_type=False)
  )
  jitted = jax.jit(primitive.bind, static_argnames="geometry")
  primitive.def_impl(lambda a, b, *, geometry: jitted(a, b, geometry=geometry))
  for platform, rule in (
    ("cpu", _over_runs(cpu, True)),
    (None, _over_runs(xla, False)),
  ):
    mlir.register_lowering(
      primitive, mlir.lower_fun(rule, multiple_results=False), platform=platform
    )

  def batch(args, dims, *, geometry):
    mapped = [axis is not None for axis in dims]
    axis, out = (0, 0) if all(mapped) else merges[mapped.index(True)]
    n = args[mapped.index(True)].shape[dims[mapped.index(True)]]
    folded = [
      _fold(a, at, axis) if m else a
      for a, at, m in zip(args, dims, mapped, strict=True)
    ]
    y = primitive.bind(*folded, geometry=geometry)
    return y.reshape(*y.shape[:out], n, -1, *y.shape[out + 1 :]), out

  batching.primitive_batchers[primitive] = batch


def _fold(a: Array, mapped_axis: int, axis: int) -> Array:
  """Merges a mapped axis into `axis` (counted without it), as its major part."""
  a = jnp.moveaxis(a, mapped_axis, axis)
  return a.reshape(*a.shape[:axis], -1, *a.shape[axis + 2 :])


_define(
  forward_p, _forward_shape, conv_cpu.forward, conv_cpu.xla_forward, ((1, 1), (4, 4))
)
_define(
  input_grad_p,
  _input_grad_shape,
  conv_cpu.input_grad,
  _xla_input_grad,
  ((1, 1), (3, 4)),
)
_define(
  kernel_grad_p,
  _kernel_grad_shape,
  conv_cpu.kernel_grad,
  _xla_kernel_grad,
  ((4, 3), (4, 4)),
)
# What is transposed: in the first operand, then in the second.
ad.defbilinear(
  forward_p,
  lambda y, x, kernel, **kw: input_grad_p.bind(y, kernel, **kw),
  lambda y, x, kernel, **kw: kernel_grad_p.bind(x, y, **kw),
)
ad.defbilinear(
  input_grad_p,
  lambda x, y, kernel, **kw: forward_p.bind(x, kernel, **kw),
  lambda x, y, kernel, **kw: kernel_grad_p.bind(x, y, **kw),
)
ad.defbilinear(
  kernel_grad_p,
  lambda kernel, x, y, **kw: input_grad_p.bind(y, kernel, **kw),
  lambda kernel, x, y, **kw: forward_p.bind(x, kernel, **kw),
)
