"""A state that is cut over a mesh: which leaves, how much each device then holds."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from jgm.core import Experiment, gradient_step, make_program, new_state
from jgm.core.experiment import Aux, Dataset
from jgm.core.parallel import make_mesh
from jgm.core.placing import local_rows
from jgm.core.sharding import state_specs
from jgm.plan.count import count_work

WIDTH = 512
RULES = (("wide/(kernel|bias)", -1, None), ("narrow/kernel", 0, None))


def init(key, pretrained):
  del pretrained
  keys = jax.random.split(key, 3)
  params = {
    "wide": {
      "kernel": 0.1 * jax.random.normal(keys[0], (256, WIDTH)),
      "bias": jnp.zeros(WIDTH),
    },
    "narrow": {"kernel": 0.1 * jax.random.normal(keys[1], (WIDTH, 256))},
  }
  return new_state(keys[2], params, optax.adam(1e-3).init(params), ema=True)


def objective(params, state, batch, key):
  del state, key
  hidden = jnp.tanh(
    batch["x"] @ params["wide"]["kernel"] + params["wide"]["bias"][None]
  )
  return jnp.mean((hidden @ params["narrow"]["kernel"] - 1) ** 2), Aux()


def experiment(rules=RULES, batch_size=16):
  rows = np.random.default_rng(0).normal(size=(batch_size, 256)).astype(np.float32)
  return Experiment(
    data=Dataset(
      "rows", None, batch_size, lambda step, n, rows_: {"x": rows}, lambda a, s: a, None
    ),
    init=init,
    step=gradient_step(objective, optax.adam(1e-3)),
    evaluate=None,
    sample=None,
    sharding_rules=rules,
  )


def specs(data, model, **options):
  state = jax.eval_shape(init, jax.random.key(0), {})
  return state_specs(state, make_mesh(data, model), **options)


def test_rules_cut_parameters_and_all_that_is_kept_of_them():
  found = specs(4, 2, rules=RULES)
  wanted = {
    "wide": {"kernel": P(None, "model"), "bias": P("model")},
    "narrow": {"kernel": P("model", None)},
  }
  adam = found.opt_state[0]
  assert found.params == found.ema_params == adam.mu == adam.nu == wanted
  assert found.step == found.key == adam.count == P()


def test_a_leaf_of_another_shape_than_its_parameter_is_whole():
  """Such as Adafactor's sums over rows."""
  state = jax.eval_shape(init, jax.random.key(0), {})
  rows = {"v_row": {"wide": {"kernel": jnp.zeros(256), "bias": jnp.zeros(WIDTH)}}}
  found = state_specs(state.replace(opt_state=rows), make_mesh(4, 2), rules=RULES)
  assert found.opt_state["v_row"]["wide"] == {"kernel": P(), "bias": P("model")}


def test_fsdp_cuts_the_longest_axis_that_is_free():
  whole = {"kernel": P(None, "data"), "bias": P()}
  assert specs(8, 1, fsdp=True).params["wide"] == whole
  both = specs(4, 2, rules=RULES, fsdp=True).params
  assert both["wide"] == {"kernel": P("data", "model"), "bias": P("model")}
  assert both["narrow"] == {"kernel": P("model", "data")}


def test_what_does_not_divide_or_is_small_is_whole():
  state = jax.eval_shape(init, jax.random.key(0), {})
  odd = state.replace(
    params={"odd": jnp.zeros((2**16 + 1, 3)), "small": jnp.zeros(2**16)}
  )
  found = state_specs(odd, make_mesh(8, 1), fsdp=True)
  assert found.params == {"odd": P(), "small": P()}


@pytest.mark.parametrize(
  "rules, message",
  [
    ((), "no rules for cutting"),
    (
      (("wide/kernel", -1, None), ("deep/kernel", 0, None)),
      r"'deep/kernel', 0, None\) names none",
    ),
    (
      (("kernel", -1, None), ("wide/kernel", 0, None)),
      "or an earlier rule all of",
    ),
    ((("wide/bias", 1, None),), "names no axis of params/wide/bias"),
    ((("kernel", 0, None),), r"=3 does not divide axis 0 of params/.*\[512, 256"),
    ((("kernel", 0, 4),), r"=3 does not divide axis 0, of 4 pieces, of params/"),
  ],
)
def test_rules_that_cannot_hold_are_errors(rules, message):
  with pytest.raises(ValueError, match=message):
    specs(2, 3, rules=rules)


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_a_device_holds_its_share_of_a_state_that_is_cut(devices):
  """By the compiler's own count, arguments and what is written over them."""

  def argument_bytes(**options):
    program = make_program(experiment(), data_devices=devices, **options)
    compiled = program.lower(experiment().data.arrays(0, 1, None)).compile()
    return compiled.memory_analysis().argument_size_in_bytes

  data = 16 * 256 * 4
  whole, cut = argument_bytes() - data, argument_bytes(fsdp=True) - data
  small = 4 * WIDTH * 4 + 64  # four biases, counters and keys
  assert abs(cut - whole / devices) <= small


def test_fsdp_sends_weights_and_not_activations():
  """A device sends no more bytes when the batch is 16 times as large."""

  def sent(batch_size):
    program = make_program(experiment(batch_size=batch_size), fsdp=True)
    arrays = {"x": jax.ShapeDtypeStruct((batch_size, 256), jnp.float32)}
    text = program.lower(arrays).compile().as_text()
    return sum(count_work(text).work.collectives.values())

  num_bytes = sent(64)
  assert 0 < num_bytes < 3 * 4 * 2 * 256 * WIDTH
  assert sent(1024) == num_bytes


@pytest.mark.parametrize(
  "options", [{"fsdp": True}, {"model_devices": 2}, {"fsdp": True, "model_devices": 2}]
)
def test_a_state_that_is_cut_takes_the_same_steps(options):
  def losses(**options):
    program = make_program(experiment(), steps_per_call=3, **options)
    arrays = program.place(experiment().data.arrays(0, 3, None))
    state, metrics, ok = program.run(program.init(0), arrays, 3)
    assert bool(ok)
    wanted = jax.tree.map(lambda leaf: leaf.sharding, program.abstract)
    assert jax.tree.map(lambda leaf: leaf.sharding, state) == wanted
    return np.asarray(metrics["loss"])

  alone = losses(data_devices=1)
  np.testing.assert_allclose(losses(**options), alone, rtol=1e-5)
  assert alone[2] < alone[0]


def test_many_seeds_are_cut_by_rules_and_not_by_fsdp():
  program = make_program(experiment(), num_seeds=3, data_devices=2, model_devices=2)
  kernel = program.abstract.params["wide"]["kernel"]
  assert kernel.shape == (3, 256, WIDTH)
  assert kernel.sharding.spec == P(None, None, "model")
  with pytest.raises(ValueError, match="fsdp does not go with num_seeds"):
    make_program(experiment(), num_seeds=3, fsdp=True)
  with pytest.raises(ValueError, match="use jit for fsdp"):
    make_program(experiment(), strategy="pmap", fsdp=True)


def test_one_process_reads_all_rows_of_a_batch():
  assert local_rows(make_mesh(4, 2), 16) == list(range(16))
