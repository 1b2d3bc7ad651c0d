"""DESIGN §6, on the smallest experiment there is: every strategy gives the same run."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.core import Aux, gradient_step, jit_program, make_program, pmean, shared_key
from jgm.core.loop import train
from jgm.core.parallel import make_mesh
from jgm.core.program import base_key
from jgm.core.replicas import make_replica, merge_replicas, split_replicas


def run(experiment, num_steps=5, seed=0, **options):
  program = make_program(experiment, **options)
  state = program.init(seed)
  for chunk in train(experiment, program, state, total_steps=num_steps):
    state = chunk.state
  return program.whole(state)


def assert_close(a, b):
  for old, new in ((a.params, b.params), (a.ema_params, b.ema_params)):
    chex.assert_trees_all_close(old, new, rtol=1e-5, atol=1e-6)


def test_eight_devices_are_one(toy):
  one = run(toy(), data_devices=1)
  assert_close(one, run(toy(), data_devices=8))
  assert int(one.step) == 5


@pytest.mark.parametrize("steps_per_call", [2, 5])
def test_steps_per_call_changes_no_bit(toy, steps_per_call):
  one = run(toy(), data_devices=1)
  many = run(toy(), data_devices=1, steps_per_call=steps_per_call)
  chex.assert_trees_all_equal(one.params, many.params)
  chex.assert_trees_all_equal(one.opt_state, many.opt_state)
  chex.assert_trees_all_equal(one.ema_params, many.ema_params)


def test_pmap_is_the_replica_step_under_vmap(toy):
  experiment = toy()
  mapped = run(experiment, strategy="pmap", steps_per_call=5)
  call, _ = make_replica(experiment, 8, steps_per_call=5)
  state = split_replicas(experiment, experiment.init(base_key(0), {}), 8)
  over_replicas = jax.vmap(call, in_axes=(0, None, None), axis_name="data")
  arrays = experiment.data.arrays(0, 5, None)
  state, _, ok = jax.jit(over_replicas)(state, arrays, jnp.array(5))
  assert bool(jnp.all(ok))
  for leaf in jax.tree.leaves(state.params):  # replicas stay identical
    np.testing.assert_array_equal(leaf, np.broadcast_to(leaf[:1], leaf.shape))
  assert_close(mapped, merge_replicas(experiment, state))


def test_replicas_have_their_own_randomness(toy):
  def objective(params, state, batch, key):
    noise = jax.random.normal(key, ())
    loss = jnp.sum(params["w"]) * noise  # its gradient is the replicas' mean noise
    return loss, Aux({"noise": noise, "spread": pmean(noise**2) - pmean(noise) ** 2})

  program = make_program(toy(objective), strategy="pmap")
  _, metrics, _ = program.run(program.init(0), toy().data.arrays(0, 1, None), 1)
  assert metrics["spread"][0] > 0.01


def test_a_run_of_many_seeds_is_the_single_runs(toy):
  experiment = toy()
  many = run(experiment, num_seeds=3, data_devices=1)
  spread = run(experiment, num_seeds=8, data_devices=8)  # the seeds over the devices
  for i in range(3):
    single = run(experiment, seed=i, data_devices=1)
    for state in (many, spread):
      assert_close(single, jax.tree.map(lambda leaf, i=i: leaf[i], state))


def test_seeds_that_take_their_steps_in_turn_are_the_single_runs(toy, monkeypatch):
  monkeypatch.setattr(jit_program, "KEEPS_A_CPU_BUSY", 0)
  many = run(toy(), num_seeds=3, data_devices=1, steps_per_call=2)
  for i in range(3):
    single = run(toy(), seed=i, data_devices=1)
    chex.assert_trees_all_equal(
      single.params, jax.tree.map(lambda leaf, i=i: leaf[i], many.params)
    )


def test_leaves_with_a_batch_axis_are_split_and_merged(toy):
  chains = {"chains": jnp.arange(16.0), "count": jnp.array(3)}
  experiment = toy(
    extra=chains, batched_extra=lambda extra: {"chains": True, "count": False}
  )
  whole = experiment.init(base_key(0), {})
  split = split_replicas(experiment, whole, 8)
  assert split.extra["chains"].shape == (8, 2) and split.extra["count"].shape == (8,)
  chex.assert_trees_all_equal(
    merge_replicas(experiment, split).extra, jax.tree.map(np.asarray, chains)
  )
  placed = make_program(experiment).init(0).extra["chains"]
  assert placed.sharding.shard_shape(placed.shape) == (2,)


def test_outside_of_pmap_nothing_is_averaged(key):
  np.testing.assert_array_equal(pmean(jnp.arange(3.0)), jnp.arange(3.0))
  assert shared_key(key) is key


def test_the_shared_key_is_the_same_on_all_replicas():
  keys = jax.random.split(jax.random.key(0), 4)
  draw = jax.vmap(lambda k: jax.random.normal(shared_key(k)), axis_name="data")
  draws = draw(keys)
  np.testing.assert_array_equal(draws, np.broadcast_to(draws[:1], (4,)))


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"strategy": "magic"}, "unknown strategy 'magic'"),
    ({"data_devices": 9}, "there are 8"),
    ({"data_devices": 5}, "a batch of 16 does not divide over 5 devices"),
    ({"strategy": "pmap", "num_seeds": 2}, "pmap does not go with num_seeds"),
    ({"steps_per_call": 0}, "at least 1"),
    ({"model_devices": 2}, "no rules for cutting"),
  ],
)
def test_what_cannot_be_is_refused_before_compilation(toy, options, message):
  with pytest.raises(ValueError, match=message):
    make_program(toy(), **options)


def test_the_mesh_takes_what_is_there():
  assert dict(make_mesh(-1, 2).shape) == {"data": 4, "model": 2}


def test_players_need_no_edit_of_the_core(toy):
  """The acceptance test: an alternation of two players, written out as plain Python."""
  import optax

  from jgm.core import new_state, repeat

  txs = {"up": optax.sgd(0.1), "down": optax.adam(0.1)}

  def up(params, state, batch, key):
    return -params["u"] * state.params["down"]["d"] + params["u"] ** 2, Aux({})

  def down(params, state, batch, key):
    return params["d"] * state.params["up"]["u"] + params["d"] ** 2, Aux({})

  up_steps = repeat(gradient_step(up, txs["up"], "up"))
  down_step = gradient_step(down, txs["down"], "down")

  def step(state, batch, key):
    key_up, key_down = jax.random.split(key)
    state, up_metrics = up_steps(state, {"x": batch["x"].reshape(4, 4, 3)}, key_up)
    state, down_metrics = down_step(state, batch, key_down)
    return state, up_metrics | down_metrics

  def init(key, pretrained):
    params = {"up": {"u": jnp.array(1.0)}, "down": {"d": jnp.array(1.0)}}
    opt_state = {name: txs[name].init(params[name]) for name in params}
    return new_state(key, params, opt_state)

  state = run(toy()._replace(init=init, step=step), num_steps=3, data_devices=1)
  assert int(state.opt_state["down"][0].count) == 3  # n after n outer steps
