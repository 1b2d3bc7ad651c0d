"""The shared convolution against XLA's own, under every transformation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jgm.models import conv_cpu
from jgm.models.conv import Conv, ConvTranspose, conv, conv_transpose

OPTIONS = [
  {"strides": 1, "padding": "SAME", "dilation": 1},
  {"strides": 2, "padding": "SAME", "dilation": 1},
  {"strides": 1, "padding": "VALID", "dilation": 2},
  {"strides": 2, "padding": ((1, 0), (0, 3)), "dilation": 2},
]
# Kernels of whole strides, which a CPU computes over blocks of pixels where there are
# few channels, else by phases: padded, cropped, uneven.
BLOCKS = [
  {"strides": (2, 2), "padding": "SAME"},
  {"strides": (2, 1), "padding": "VALID"},
  {"strides": (2, 4), "padding": ((3, -1), (-1, 4))},
]


@pytest.fixture
def float64():
  """Double precision, so that a wrong term cannot hide in rounding."""
  with jax.enable_x64(True):
    yield


def reference(x, kernel, *, strides=1, padding="SAME", dilation=1):
  return lax.conv_general_dilated(
    x,
    kernel,
    (strides,) * 2 if isinstance(strides, int) else strides,
    padding,
    rhs_dilation=(dilation,) * 2,
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


def transposed_reference(x, kernel, *, image, **options):
  """By JAX's own transposition of XLA's convolution."""
  shape = jax.ShapeDtypeStruct((len(x), *image, kernel.shape[2]), x.dtype)
  return jax.linear_transpose(lambda y: reference(y, kernel, **options), shape)(x)[0]


def normal(seed, *shape):
  return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def value_and_derivatives(f, x, kernel):
  """The value, both gradients, and reverse over reverse and forward over reverse."""

  def energy(x, kernel):
    return jnp.mean(f(x, kernel) ** 3)

  def penalty(x, kernel):
    return jnp.mean(jax.grad(energy)(x, kernel) ** 2)

  tangents = (jnp.cos(x), jnp.sin(kernel))
  return (
    f(x, kernel),
    jax.grad(energy, (0, 1))(x, kernel),
    jax.grad(penalty, (0, 1))(x, kernel),
    jax.jvp(jax.grad(energy, (0, 1)), (x, kernel), tangents)[1],
  )


def assert_close(a, b, tolerance=1e-12):
  for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    scale = float(jnp.abs(right).max())
    np.testing.assert_allclose(left, right, rtol=0, atol=tolerance * max(scale, 1e-30))


@pytest.mark.parametrize("size", [1, 3, (2, 3)], ids=str)
def test_equals_xla_to_second_order(float64, size):
  """All strides, paddings and dilations in one program per kernel size."""
  kh, kw = (size, size) if isinstance(size, int) else size
  x, kernel = normal(0, 3, 7, 6, 2), normal(1, kh, kw, 2, 4)

  def all_options(f):
    variants = [functools.partial(f, **options) for options in OPTIONS]
    return jax.jit(
      lambda x, kernel: [value_and_derivatives(v, x, kernel) for v in variants]
    )

  assert_close(all_options(conv)(x, kernel), all_options(reference)(x, kernel))


@pytest.mark.parametrize("few", [0, 100], ids=["phases", "blocks"])
@pytest.mark.parametrize("image", [(8, 8), (7, 5)], ids=str)
def test_blocks_equal_xla_to_second_order(float64, monkeypatch, image, few):
  """A convolution whose kernel is a whole number of strides, and its transpose."""
  monkeypatch.setattr(conv_cpu, "FEW_CHANNELS", few)
  x, kernel = normal(0, 2, *image, 3), normal(1, 4, 4, 3, 2)

  def all_options(f):
    variants = [functools.partial(f, **options) for options in BLOCKS]
    return jax.jit(
      lambda x, kernel: [value_and_derivatives(v, x, kernel) for v in variants]
    )

  assert_close(all_options(conv)(x, kernel), all_options(reference)(x, kernel))


@pytest.mark.parametrize("size", [3, 4])
@pytest.mark.parametrize("image", [(8, 8), (7, 6)], ids=str)
def test_transposed_equals_jaxs_transpose_to_second_order(float64, size, image):
  """As a generator has it: strides of 2 and an image that may be odd."""
  small = [-(-n // 2) for n in image]
  x, kernel = normal(0, 2, *small, 3), normal(1, size, size, 2, 3)

  def derive(f):
    bound = functools.partial(f, image=image, strides=2)
    return jax.jit(lambda x, kernel: value_and_derivatives(bound, x, kernel))

  ours = derive(conv_transpose)(x, kernel)
  assert_close(ours, derive(transposed_reference)(x, kernel))
  assert ours[0].shape == (2, *image, 2)


def test_transposed_equals_xlas_transposed_convolution(float64):
  x, kernel = normal(0, 2, 4, 4, 3), normal(1, 4, 4, 2, 3)
  theirs = lax.conv_transpose(
    x,
    kernel,
    (2, 2),
    "SAME",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    transpose_kernel=True,
  )
  assert_close(conv_transpose(x, kernel, image=(8, 8), strides=2), theirs)


def test_gradient_penalty_of_a_strided_critic(float64):
  """Its gradient: a derivative of second order of a network, one example at a time."""
  x, key_sizes = normal(0, 3, 7, 8, 2), ((4, 4, 2, 3), (4, 4, 3, 2))
  kernels = [normal(i + 1, *size) for i, size in enumerate(key_sizes)]

  def penalty_of(f):
    def score(kernels, x):
      y = x[None]
      for kernel in kernels:
        y = jnp.tanh(f(y, kernel, strides=2))
      return y.sum()

    def penalty(kernels):
      slopes = jax.vmap(jax.grad(score, 1), (None, 0))(kernels, x)
      norms = jnp.sqrt(jnp.sum(slopes**2, axis=(1, 2, 3)))
      return jnp.mean((norms - 1) ** 2)

    return jax.jit(jax.value_and_grad(penalty))

  assert_close(penalty_of(conv)(kernels), penalty_of(reference)(kernels))


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)], ids=str)
def test_transposed_mapped_equals_a_loop(float64, axes):
  """vmap of the derivatives over images, weights (`num_seeds`), or both."""
  n = 2
  x, kernel = normal(0, n, 2, 4, 3, 3), normal(1, n, 4, 4, 2, 3)
  arguments = [a if m == 0 else a[0] for a, m in zip((x, kernel), axes, strict=True)]
  each = [
    [a[i if m == 0 else 0] for a, m in zip((x, kernel), axes, strict=True)]
    for i in range(n)
  ]
  f = functools.partial(conv_transpose, image=(7, 6), strides=2)
  derivatives = jax.jit(lambda x, k: value_and_derivatives(f, x, k))
  mapped = jax.jit(jax.vmap(derivatives, axes))(*arguments)
  loop = jax.tree.map(lambda *a: jnp.stack(a), *[derivatives(*e) for e in each])
  assert_close(mapped, loop)


def test_small_images_equal_xla(float64):
  """Both of the ways that the size chooses: a product over patches, and XLA's own."""
  for size in (2, 6):
    assert (size**2 > conv_cpu.SMALL_IMAGE) == (size == 6)
    x, kernel = normal(0, 6, size, size, 3), normal(1, 3, 3, 3, 5)
    ours, theirs = (
      jax.jit(jax.value_and_grad(lambda x, k, f=f: jnp.sum(f(x, k) ** 3), (0, 1)))
      for f in (conv, reference)
    )
    assert_close(ours(x, kernel), theirs(x, kernel))


@pytest.mark.parametrize(
  "axes", [(0, 0), (0, None), (None, 0), (1, 3)], ids=["both", "x", "kernel", "inner"]
)
def test_mapped_equals_a_loop(float64, axes):
  """vmap of the derivatives, mapped over the images, the weights, or both."""
  n = 3
  x, kernel = normal(0, n, 2, 5, 5, 2), normal(1, n, 3, 3, 2, 4)
  each = [
    (x[i if axes[0] == 0 else 0], kernel[i if axes[1] == 0 else 0]) for i in range(n)
  ]
  arguments = [
    x if axes[0] is not None else x[0],
    kernel if axes[1] is not None else kernel[0],
  ]
  if axes == (1, 3):
    each = [(x[i], kernel[i]) for i in range(n)]
    arguments = [jnp.moveaxis(x, 0, 1), jnp.moveaxis(kernel, 0, 3)]
  derivatives = lambda x, k: value_and_derivatives(conv, x, k)
  mapped = jax.jit(jax.vmap(derivatives, axes))(*arguments)
  single = jax.jit(derivatives)
  loop = jax.tree.map(lambda *a: jnp.stack(a), *[single(*e) for e in each])
  assert_close(mapped, loop)


def test_mapped_twice_and_differentiated_outside(float64):
  """grad of a vmap of a vmap: seeds outside, examples inside."""
  x, kernel = normal(0, 2, 3, 1, 4, 4, 2), normal(1, 2, 3, 3, 2, 3)

  def energy(f):
    each = jax.vmap(jax.vmap(f, (0, None)))
    return jax.grad(lambda x, k: jnp.sum(each(x, k) ** 3), (0, 1))

  assert_close(jax.jit(energy(conv))(x, kernel), jax.jit(energy(reference))(x, kernel))


@pytest.mark.parametrize("axis", [0, 1], ids=["first", "second"])
def test_one_linear_map_mapped_on_one_side(float64, axis):
  """The gradients with a cotangent that is not mapped, against XLA's own."""
  x, kernel, y = normal(0, 2, 5, 5, 2), normal(1, 3, 3, 2, 4), normal(2, 2, 5, 5, 4)
  input_grad = lambda f: lambda y, k: jax.vjp(lambda x: f(x, k), x)[1](y)[0]
  kernel_grad = lambda f: lambda x, y: jax.vjp(lambda k: f(x, k), kernel)[1](y)[0]
  for gradient, arguments in ((input_grad, [y, kernel]), (kernel_grad, [x, y])):
    axes = [None, None]
    axes[axis] = 0
    arguments[axis] = jnp.stack([arguments[axis], 2 + jnp.sin(arguments[axis])])
    ours, theirs = (jax.vmap(gradient(f), axes)(*arguments) for f in (conv, reference))
    assert_close(ours, theirs)


def test_in_loops_and_under_remat(float64):
  """Descent in a scan, in a while_loop and with remat gives the same kernel."""
  x, kernel = normal(0, 2, 5, 5, 2), normal(1, 3, 3, 2, 2)

  def descend(f):
    def step(kernel):
      return kernel - 0.1 * jax.grad(lambda k: jnp.mean(jnp.tanh(f(x, k)) ** 2))(kernel)

    return step

  plain = descend(reference)
  expected = plain(plain(plain(kernel)))
  step = descend(jax.checkpoint(conv))
  scanned, _ = jax.lax.scan(lambda k, _: (step(k), None), kernel, length=3)
  looped = jax.lax.while_loop(
    lambda c: c[0] < 3, lambda c: (c[0] + 1, step(c[1])), (0, kernel)
  )[1]
  assert_close(scanned, expected)
  assert_close(looped, expected)


def test_sharded_batch_stays_sharded():
  """On a mesh nothing is gathered: the devices share only the kernel's gradient."""
  mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
  x, kernel = normal(0, 64, 8, 8, 16), normal(1, 3, 3, 16, 16)
  f = jax.jit(jax.grad(lambda x, k: jnp.sum(conv(conv(x, k), k) ** 2), (0, 1)))
  expected = f(x, kernel)
  sharded = jax.device_put(x, NamedSharding(mesh, P("data")))
  replicated = jax.device_put(kernel, NamedSharding(mesh, P()))
  program = f.lower(sharded, replicated).compile()
  text = program.as_text()
  assert "all-reduce" in text
  assert "all-gather" not in text and "all-to-all" not in text
  assert_close(program(sharded, replicated), expected, 1e-5)


def test_under_pmap():
  x, kernel = normal(0, 8, 2, 5, 5, 2), normal(1, 3, 3, 2, 3)
  grad = jax.grad(lambda k, x, f: jnp.mean(f(x, k) ** 2))
  mean = jax.pmap(lambda x: lax.pmean(grad(kernel, x, conv), "data"), axis_name="data")(
    x
  )
  assert_close(mean[0], grad(kernel, x.reshape(16, 5, 5, 2), reference), 1e-5)


def test_bfloat16_is_near_float32():
  """Value and gradients, in pieces of the batch and by patches too."""
  for size in (2, 16):
    x, kernel = normal(0, 128, size, size, 16), normal(1, 3, 3, 16, 16)
    derive = jax.jit(lambda x, k: (lambda y, vjp: (y, *vjp(y)))(*jax.vjp(conv, x, k)))
    halved = derive(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16))
    assert {a.dtype for a in halved} == {jnp.dtype(jnp.bfloat16)}
    halved = [a.astype(jnp.float32) for a in halved]
    assert_close(halved, derive(x, kernel), 0.02)


def test_other_platforms_get_xlas_own():
  """Lowered for a TPU on this machine, the program holds XLA's convolutions alone."""
  x, kernel = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 4))
  grad = jax.jit(jax.grad(lambda x, k: jnp.sum(conv(x, k) ** 2), (0, 1)))
  programs = {
    platform: grad.trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
    for platform in ("cpu", "tpu")
  }
  own = jax.jit(jax.grad(lambda x, k: jnp.sum(reference(x, k) ** 2), (0, 1)))
  xla = own.trace(x, kernel).lower(lowering_platforms=("tpu",)).as_text()
  convolutions = lambda text: sorted(
    line.split("dim_numbers")[1]
    for line in text.splitlines()
    if "stablehlo.convolution" in line
  )
  assert convolutions(programs["tpu"]) == convolutions(xla)
  assert convolutions(programs["cpu"]) != convolutions(xla)


def test_in_time_equals_a_convolution_of_one_row():
  """[B, L, C], causal and dilated, as audio models use it."""
  x, kernel = normal(0, 2, 9, 3), normal(1, 2, 3, 4)
  y = conv(x, kernel, padding=((4, 0),), dilation=4)
  expected = lax.conv_general_dilated(
    x,
    kernel,
    (1,),
    ((4, 0),),
    rhs_dilation=(4,),
    dimension_numbers=("NWC", "WIO", "NWC"),
  )
  np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_module_has_float32_parameters_and_computes_in_dtype(key):
  x = jnp.ones((2, 5, 5, 3))
  y, variables = Conv(4, strides=2, dtype=jnp.bfloat16).init_with_output(key, x)
  assert y.shape == (2, 3, 3, 4) and y.dtype == jnp.bfloat16
  shapes = jax.tree.map(lambda a: (a.shape, a.dtype), variables["params"])
  assert shapes == {
    "kernel": ((3, 3, 3, 4), jnp.float32),
    "bias": ((4,), jnp.float32),
  }


def test_transposed_module_has_float32_parameters_and_computes_in_dtype(key):
  x = jnp.ones((2, 4, 4, 3))
  module = ConvTranspose(5, (7, 8), dtype=jnp.bfloat16)
  y, variables = module.init_with_output(key, x)
  assert y.shape == (2, 7, 8, 5) and y.dtype == jnp.bfloat16
  shapes = jax.tree.map(lambda a: (a.shape, a.dtype), variables["params"])
  assert shapes == {
    "kernel": ((4, 4, 5, 3), jnp.float32),
    "bias": ((5,), jnp.float32),
  }


@pytest.mark.parametrize(
  ("x", "kernel", "image", "message"),
  [
    ((2, 4, 4, 3), (4, 4, 3, 5), (8, 8), "3 channels"),
    ((2, 4, 4), (4, 4, 4), (8,), "takes x"),
    ((2, 4, 4, 3), (4, 4, 5, 3), (9, 8), "comes from one of 5 x 4, not of 4 x 4"),
  ],
)
def test_transposed_shapes_that_do_not_fit_are_named(x, kernel, image, message):
  with pytest.raises(ValueError, match=message):
    conv_transpose(jnp.ones(x), jnp.ones(kernel), image=image, strides=2)


@pytest.mark.parametrize(
  ("x", "kernel", "message"),
  [
    ((2, 5, 5, 3), (3, 3, 4, 4), "3 channels"),
    ((5, 5, 3), (3, 3, 3, 4), "takes x"),
    ((2, 2, 2, 3), (3, 3, 3, 4), "smaller than the kernel"),
  ],
)
def test_shapes_that_do_not_fit_are_named(x, kernel, message):
  with pytest.raises(ValueError, match=message):
    conv(jnp.ones(x), jnp.ones(kernel), padding="VALID")


def test_mixed_dtypes_are_refused():
  with pytest.raises(ValueError, match="bfloat16"):
    conv(jnp.ones((1, 4, 4, 1), jnp.bfloat16), jnp.ones((3, 3, 1, 1)))


def test_under_shard_map():
  """Without the check of what varies, which is for primitives of JAX itself."""
  mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
  x, kernel = normal(0, 16, 5, 5, 2), normal(1, 3, 3, 2, 3)
  energy = lambda k, x, f: jnp.sum(f(x, k) ** 2)
  grads = jax.jit(
    jax.shard_map(
      lambda k, x: lax.psum(jax.grad(energy)(k, x, conv), "data"),
      mesh=mesh,
      in_specs=(P(), P("data")),
      out_specs=P(),
      check_vma=False,
    )
  )(kernel, x)
  assert_close(grads, jax.grad(energy)(kernel, x, reference), 1e-5)
