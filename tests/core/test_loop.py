import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.core import Aux, make_program
from jgm.core.loop import NotFiniteError, train
from jgm.core.program import base_key

BAD_STEP = 7  # the step taken from state.step == 7 is the bad one


def steps_of(experiment, program, **options):
  chunks = train(experiment, program, program.init(0), **options)
  return [(chunk.step, len(chunk.metrics["loss"])) for chunk in chunks]


def test_a_call_never_crosses_a_stop_and_is_compiled_once(toy):
  traces = []

  def objective(params, state, batch, key):
    traces.append(1)
    return jnp.sum(params["w"] ** 2), Aux({})

  experiment = toy(objective)
  program = make_program(experiment, steps_per_call=4, data_devices=1)
  taken = steps_of(experiment, program, total_steps=13, stop_every=[6, 5])
  assert [step for step, _ in taken] == [4, 5, 6, 10, 12, 13]
  assert sum(rows for _, rows in taken) == 13
  assert len(traces) == 1


def test_a_run_goes_on_where_it_was(toy):
  experiment = toy()
  program = make_program(experiment, steps_per_call=4, data_devices=1)
  state = program.init(0)
  for chunk in train(experiment, program, state, total_steps=5):
    state = chunk.state
  for chunk in train(experiment, program, state, total_steps=9):
    state = chunk.state
  for chunk in train(experiment, program, program.init(0), total_steps=9):
    whole = chunk.state
  chex.assert_trees_all_equal(state.params, whole.params)


def test_data_that_are_read_ahead_are_asked_for_by_step(toy):
  asked = []

  def arrays(step, num_steps, rows):
    asked.append((step, num_steps))
    return {"x": np.full((num_steps, 16, 3), step, np.float32), "first": np.int32(step)}

  def batch(arrays, step):
    return {"x": arrays["x"][step - arrays["first"]]}

  experiment = toy()
  data = experiment.data._replace(arrays=arrays, batch=batch)
  experiment = experiment._replace(data=data)
  program = make_program(experiment, steps_per_call=4, data_devices=1)
  steps_of(experiment, program, total_steps=9, stop_every=[6])
  assert asked == [(0, 4), (4, 4), (6, 4)]


@pytest.mark.parametrize(
  "options",
  [
    {"data_devices": 1, "steps_per_call": 5},
    {"strategy": "pmap", "steps_per_call": 5},
    {"num_seeds": 2, "steps_per_call": 5, "data_devices": 1},
  ],
)
def test_a_bad_step_is_named_and_nothing_of_it_is_kept(toy, options):
  def objective(params, state, batch, key):
    scale = jnp.where(state.step == BAD_STEP, jnp.inf, 1.0)
    return scale * jnp.mean((batch["x"] @ params["w"]) ** 2), Aux({})

  experiment = toy(objective)
  program = make_program(experiment, **options)
  states = []
  with pytest.raises(NotFiniteError, match="params/w") as error:
    for chunk in train(experiment, program, program.init(0), total_steps=10):
      states.append(chunk.step)
  assert error.value.step == BAD_STEP and states == [5]
  frozen, _, ok = program.run(
    program.init(0), program.place(experiment.data.arrays(0, 5, None)), 5
  )
  frozen, _, ok = program.run(
    frozen, program.place(experiment.data.arrays(5, 5, None)), 5
  )
  assert not bool(ok)
  assert int(np.ravel(frozen.step)[0]) == BAD_STEP
  chex.assert_tree_all_finite((frozen.params, frozen.opt_state, frozen.ema_params))


def test_the_seeds_of_a_bad_step_are_named(toy):
  key_of = lambda seed: toy().init(base_key(seed), {}).key
  bad_keys = [jax.random.key_data(key_of(seed)) for seed in (5, 7)]

  def objective(params, state, batch, key):
    is_its = [jnp.all(jax.random.key_data(state.key) == bad) for bad in bad_keys]
    is_bad = (is_its[0] | is_its[1]) & (state.step == BAD_STEP)
    scale = jnp.where(is_bad, jnp.nan, 1.0)
    return scale * jnp.mean((batch["x"] @ params["w"]) ** 2), Aux({})

  experiment = toy(objective)
  program = make_program(experiment, num_seeds=4, data_devices=1, steps_per_call=5)
  with pytest.raises(NotFiniteError) as error:
    for _ in train(experiment, program, program.init(4), total_steps=10):
      pass
  assert error.value.seeds == (1, 3)
  assert str(error.value) == (
    "step 8 of config.seed+1, +3 is not finite: the first leaf that is not finite is "
    "params/w"
  )


@pytest.mark.parametrize(
  "options", [{}, {"strategy": "pmap"}, {"num_seeds": 2}, {"num_seeds": 8}]
)
def test_a_trace_before_the_first_step_is_the_only_one(toy, options):
  traces = []

  def objective(params, state, batch, key):
    traces.append(1)
    return jnp.sum(params["w"] ** 2), Aux({})

  experiment = toy(objective)
  program = make_program(experiment, steps_per_call=4, **options)
  program.trace(experiment.data.arrays(0, 4, None))
  assert len(traces) == 1
  for _ in train(experiment, program, program.init(0), total_steps=9):
    pass
  assert len(traces) == 1


@pytest.mark.parametrize("options", [{}, {"strategy": "pmap"}, {"num_seeds": 2}])
def test_only_the_first_call_is_compiled(toy, options):
  experiment = toy()
  program = make_program(experiment, steps_per_call=4, **options)
  state, arrays = program.init(0), program.place(experiment.data.arrays(0, 4, None))
  compiled = []

  def listen(event, seconds, **facts):
    if event == "/jax/core/compile/backend_compile_duration":
      compiled.append(facts["fun_name"])

  state, _, _ = program.run(state, arrays, 4)
  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    for num_steps in (4, 2):
      state, _, _ = program.run(state, arrays, num_steps)
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)
  assert compiled == []


def test_a_step_that_changes_the_state_is_named(toy):
  experiment = toy()

  def step(state, batch, key):
    return state.replace(params={"w": state.params["w"].astype(jnp.bfloat16)}), {}

  program = make_program(experiment._replace(step=step), data_devices=1)
  with pytest.raises(TypeError, match=r"params/w from float32\[3\] to bfloat16\[3\]"):
    steps_of(experiment, program, total_steps=1)


def test_a_metric_that_is_not_a_scalar_is_named(toy):
  def objective(params, state, batch, key):
    return jnp.sum(params["w"]), Aux({"all": params["w"]})

  experiment = toy(objective)
  program = make_program(experiment, data_devices=1)
  with pytest.raises(TypeError, match=r"'all' has shape \(3,\)"):
    steps_of(experiment, program, total_steps=1)


def test_the_state_is_donated(toy):
  experiment = toy()
  program = make_program(experiment, data_devices=1)
  state = program.init(0)
  program.run(state, program.place(experiment.data.arrays(0, 1, None)), 1)
  assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))
