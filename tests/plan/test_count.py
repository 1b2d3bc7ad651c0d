"""Operations, bytes and collectives against what the program is known to do."""

import functools
import importlib

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jgm.cli.config import load_config
from jgm.core.parallel import make_program
from jgm.data.shapes import shapes_of
from jgm.plan.count import Collective, count_work

ONE_PRODUCT = 2 * 32 * 32 * 32
MATRIX = jax.ShapeDtypeStruct((32, 32), jnp.float32)


def work_of(f, *shapes, **options):
  return count_work(jax.jit(f).lower(*shapes).compile().as_text(), **options).work


def products(length, inside=lambda x: x):
  """x -> x w w ... w, `length` times, with something after each."""

  def f(x, w):
    return jax.lax.scan(lambda x, _: (inside(x @ w), None), x, None, length)[0]

  return f


def test_a_scan_of_ten_products_has_ten_times_the_operations_of_one():
  assert work_of(jnp.matmul, MATRIX, MATRIX).flops == ONE_PRODUCT
  assert work_of(products(10), MATRIX, MATRIX).flops == 10 * ONE_PRODUCT


def test_trips_that_xla_did_not_write_down_are_in_the_condition():
  text = jax.jit(products(10)).lower(MATRIX, MATRIX).compile().as_text()
  assert text.count("known_trip_count") == 1
  hidden = text.replace("known_trip_count", "unknown")
  assert count_work(hidden).work.flops == 10 * ONE_PRODUCT


def test_scans_in_scans_multiply():
  def f(x, w):
    return products(5, lambda x: products(3)(x, w))(x, w)

  assert work_of(f, MATRIX, MATRIX).flops == (5 + 15) * ONE_PRODUCT


def test_layers_scanned_and_unrolled_agree():
  def network(unroll, x, weights):
    layer = lambda x, w: (jnp.tanh(x @ w), None)
    return jnp.sum(jax.lax.scan(layer, x, weights, unroll=unroll)[0])

  weights = jax.ShapeDtypeStruct((8, 32, 32), jnp.float32)
  works = [
    work_of(jax.grad(functools.partial(network, unroll), (0, 1)), MATRIX, weights)
    for unroll in (1, True)
  ]
  assert works[0].flops == works[1].flops == 3 * 8 * ONE_PRODUCT


def test_of_a_conditional_the_greater_branch_counts():
  def f(x, w):
    return jax.lax.cond(x[0, 0] > 0, lambda x: products(4)(x, w), lambda x: x @ w, x)

  assert work_of(f, MATRIX, MATRIX).flops == 4 * ONE_PRODUCT


def test_a_loop_that_ends_by_a_value_takes_the_steps_of_a_call():
  def f(x, w, n):
    return jax.lax.fori_loop(0, n, lambda _, x: x @ w, x)

  shapes = MATRIX, MATRIX, jax.ShapeDtypeStruct((), jnp.int32)
  assert work_of(f, *shapes).flops == ONE_PRODUCT
  assert work_of(f, *shapes, steps_per_call=7).flops == 7 * ONE_PRODUCT


def test_the_bytes_of_a_product():
  num_bytes = work_of(jnp.matmul, MATRIX, MATRIX).num_bytes
  assert 3 * 32 * 32 * 4 <= num_bytes <= 3 * 32 * 32 * 4 * 1.05


def test_of_an_array_that_is_sliced_only_the_slice_is_read():
  rows = jax.ShapeDtypeStruct((10_000, 32), jnp.float32)
  start = jax.ShapeDtypeStruct((), jnp.int32)
  read = lambda x, i: 2 * jax.lax.dynamic_slice_in_dim(x, i, 4)
  assert work_of(read, rows, start).num_bytes < 4 * 4 * 32 * 4


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
def test_a_convolution_counts_what_meets_the_image(padding):
  image = jax.ShapeDtypeStruct((2, 6, 6, 3), jnp.float32)
  kernel = jax.ShapeDtypeStruct((3, 3, 3, 5), jnp.float32)

  def f(x, w):
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
      x, w, (1, 1), padding, dimension_numbers=numbers
    )

  along = {"VALID": 4 * 3, "SAME": 6 * 3 - 2}[padding]
  assert work_of(f, image, kernel).flops == 2 * 2 * along**2 * 3 * 5


@functools.cache
def mesh():
  return jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))


def sharded(shape, *spec):
  sharding = NamedSharding(mesh(), PartitionSpec(*spec))
  return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)


def mapped(f):
  rows, one = PartitionSpec("data"), PartitionSpec()
  return jax.shard_map(f, mesh=mesh(), in_specs=rows, out_specs=one, check_vma=False)


@pytest.mark.parametrize(
  ("kind", "f", "num_bytes"),
  [
    ("all-reduce", lambda x: jax.lax.psum(x, "data"), 4 * 16),
    ("all-gather", lambda x: jax.lax.all_gather(x, "data"), 8 * 4 * 16),
    (
      "reduce-scatter",
      lambda x: jax.lax.psum_scatter(x, "data", scatter_dimension=1, tiled=True),
      4 * 16,
    ),
    (
      "collective-permute",
      lambda x: jax.lax.ppermute(x, "data", [(i, (i + 1) % 8) for i in range(8)]),
      4 * 16,
    ),
  ],
)
def test_the_bytes_of_a_collective(kind, f, num_bytes):
  work = work_of(mapped(f), sharded((8, 16), "data"))
  ((collective, counted),) = work.collectives.items()
  assert collective.kind == kind and counted == num_bytes
  assert collective.group_size == 8


def test_a_collective_in_a_loop_is_multiplied():
  def f(x):
    body = lambda x, _: (jax.lax.psum(jnp.sin(x), "data"), None)
    return jax.lax.scan(body, x, None, 6)[0]

  work = work_of(mapped(f), sharded((8, 16), "data"))
  assert work.collectives == {Collective("all-reduce", 8): 6 * 4 * 16}


OF_A_TPU = """HloModule m, is_scheduled=true, num_partitions=16

ENTRY %main (p: f32[1000,8], i: s32[]) -> f32[4,8] {
  %p = f32[1000,8]{1,0:T(8,128)} parameter(0)
  %i = s32[]{:T(128)S(1)} parameter(1)
  %zero = s32[]{:T(128)S(1)} constant(0)
  %rows = f32[4,8]{1,0:T(8,128)S(1)} dynamic-slice(%p, %i, %zero)
  %sum = (f32[4,8]{1,0:T(8,128)S(1)}) all-reduce(%rows), replica_groups=GROUPS, a={}
  %first = f32[4,8]{1,0:T(8,128)S(1)} get-tuple-element(%sum), index=0
  %start = (f32[4,8]{1,0:T(8,128)}, f32[4,8]{1,0:T(8,128)S(1)}, u32[]{:S(2)}) \\
copy-start(%first)
  ROOT %out = f32[4,8]{1,0:T(8,128)} copy-done(%start)
}
""".replace("\\\n", "")


@pytest.mark.parametrize(
  ("groups", "size"),
  [
    ("mesh['a'=8,'b'=2] {'a'}", 8),
    ("[4,4]<=[16]", 4),
    ("{{0,1},{2,3}}", 2),
    ("{}", 16),
  ],
)
def test_the_text_of_a_tpu(groups, size):
  """Fast memory is marked S(1) and costs nothing: rows are read once, written once."""
  work = count_work(OF_A_TPU.replace("GROUPS", groups)).work
  assert work.num_bytes == 2 * 4 * 8 * 4
  assert work.collectives == {Collective("all-reduce", size): 4 * 8 * 4}


SPREAD = """HloModule m, is_scheduled=true, num_partitions=4

%begin (p: f32[8,8]) -> (f32[8,8], f32[32,8], s32[2]) {
  %p = f32[8,8]{1,0} parameter(0)
  %g0 = f32[32,8]{1,0} all-gather(%p), channel_id=1, replica_groups={}, dimensions={0}
  ROOT %c0 = (f32[8,8]{1,0}, f32[32,8]{1,0}, s32[2]{0:S(4)}) custom-call(%g0), \
TARGETStart"
}

%async_collective_fusion.1 (p: f32[8,8], q: f32[32,8], x: f32[8,8]) -> (f32[8,8], \
f32[8,8], f32[32,8]) {
  %p.1 = f32[8,8]{1,0} parameter(0)
  %q.1 = f32[32,8]{1,0} parameter(1)
  %x = f32[8,8]{1,0} parameter(2)
  %y = f32[8,8]{1,0} negate(%x)
  %g1 = f32[32,8]{1,0} all-gather(%p.1), channel_id=1, replica_groups={}, dimensions={0}
  ROOT %t = (f32[8,8]{1,0}, f32[8,8]{1,0}, f32[32,8]{1,0}) tuple(%y, %p.1, %g1)
}

%end (p: f32[8,8], q: f32[32,8]) -> f32[32,8] {
  %p.2 = f32[8,8]{1,0} parameter(0)
  %q.2 = f32[32,8]{1,0} parameter(1)
  %g2 = f32[32,8]{1,0} all-gather(%p.2), channel_id=1, replica_groups={}, dimensions={0}
  ROOT %c2 = f32[32,8]{1,0} custom-call(%p.2, %q.2, %g2), TARGETDone"
}

ENTRY %main (p: f32[8,8], x: f32[8,8]) -> f32[32,8] {
  %p.3 = f32[8,8]{1,0} parameter(0)
  %x.3 = f32[8,8]{1,0} parameter(1)
  %f0 = (f32[8,8]{1,0}, f32[32,8]{1,0}, s32[2]{0:S(4)}) fusion(%p.3), kind=kCustom, \
calls=%begin
  %q = f32[32,8]{1,0} get-tuple-element(%f0), index=1
  %f1 = (f32[8,8]{1,0}, f32[8,8]{1,0}, f32[32,8]{1,0}) fusion(%p.3, %q, %x.3), \
kind=kCustom, calls=%async_collective_fusion.1
  %r = f32[32,8]{1,0} get-tuple-element(%f1), index=2
  ROOT %f2 = f32[32,8]{1,0} fusion(%p.3, %r), kind=kCustom, calls=%end
}
"""
SPREAD = SPREAD.replace("TARGET", 'custom_call_target="AsyncCollective')


def test_a_collective_that_is_spread_over_fusions_is_one():
  count = count_work(SPREAD)
  assert count.work.collectives == {Collective("all-gather", 4): 32 * 8 * 4}
  assert not count.uncounted_calls
  # the operand is read, and named among the results
  gathered, negated = (8 + 8 + 32) * 8 * 4, 2 * 8 * 8 * 4
  assert count.work.num_bytes == gathered + negated


def step_work(experiment, spec, steps_per_call, *overrides):
  config = load_config(spec, overrides)
  made = importlib.import_module(f"experiments.{experiment}").make(config)
  program = make_program(made, steps_per_call=steps_per_call)
  arrays = shapes_of(made.data, steps_per_call)
  text = program.lower(arrays).compile().as_text()
  count = count_work(text, steps_per_call=steps_per_call)
  return program, count.work.times(1 / steps_per_call)


def test_one_step_a_call_or_a_hundred_is_the_same_work_a_step():
  (_, one), (_, hundred) = (
    step_work("gan", "configs/gan.py:smoke", number) for number in (1, 100)
  )
  assert hundred.flops == pytest.approx(one.flops, rel=0.02) and one.flops > 0
  assert hundred.num_bytes == pytest.approx(one.num_bytes, rel=0.02)
  assert sum(hundred.collectives.values()) == pytest.approx(
    sum(one.collectives.values()), rel=0.02
  )


def test_a_gpt_makes_six_operations_for_each_parameter_and_token():
  """Kaplan et al. 2020, section 2.1, and the attention's products, 12 L T D a token."""
  layers, features, context, batch = 2, 64, 32, 16
  overrides = (
    f"model.num_layers={layers}",
    f"model.features={features}",
    f"model.max_length={context}",
    f"data.context={context}",
    f"data.batch_size={batch}",
  )
  program, work = step_work("gpt", "configs/gpt.py:smoke", 2, *overrides)
  parameters = {
    jax.tree_util.keystr(path): leaf.size
    for path, leaf in jax.tree_util.tree_leaves_with_path(program.abstract.params)
  }
  # Positions are only added; the tokens' table multiplies, as the last layer.
  num_parameters = sum(n for name, n in parameters.items() if "position" not in name)
  a_token = 6 * num_parameters + 12 * layers * context * features
  assert work.flops == pytest.approx(a_token * batch * context / 8, rel=0.05)
