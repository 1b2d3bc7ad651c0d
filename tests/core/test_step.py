import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jgm.core import Aux, gradient_step, new_state, repeat, with_ema


def quadratic(params, state, batch, key):
  loss = jnp.mean((params["w"] - batch["x"]) ** 2)
  return loss, Aux({"mean": jnp.mean(batch["x"])})


def state_of(params, tx, **options):
  return jax.jit(lambda key: new_state(key, params, tx.init(params), **options))(
    jax.random.key(0)
  )


def test_gradient_step_is_plain_gradient_descent(key):
  tx = optax.sgd(0.1)
  state = state_of({"w": jnp.array(3.0)}, tx)
  state, metrics = gradient_step(quadratic, tx)(state, {"x": jnp.arange(4.0)}, key)
  # d/dw mean (w - x)^2 = 2 (w - mean x) = 2 (3 - 1.5) = 3
  np.testing.assert_allclose(state.params["w"], 3.0 - 0.1 * 3.0, rtol=1e-6)
  np.testing.assert_allclose(metrics["gradient_norm"], 3.0, rtol=1e-6)
  np.testing.assert_allclose(metrics["loss"], (9 + 4 + 1 + 0) / 4, rtol=1e-6)
  assert set(metrics) == {"loss", "gradient_norm", "mean"}


def test_a_player_moves_alone(key):
  txs = {"a": optax.adam(0.1), "b": optax.sgd(0.1)}
  params = {"a": {"w": jnp.array(1.0)}, "b": {"w": jnp.array(2.0)}}
  opt_state = {name: txs[name].init(params[name]) for name in params}
  counters = {"a": {"n": jnp.array(0)}, "b": {"n": jnp.array(0)}}
  before = new_state(key, params, opt_state, model_state=counters)

  def objective(params, state, batch, key):
    chex.assert_trees_all_equal_structs(params, state.params["a"])
    loss, aux = quadratic(params, state, batch, key)
    return loss, aux._replace(model_state={"n": state.model_state["a"]["n"] + 1})

  step = gradient_step(objective, txs["a"], player="a")
  after, metrics = step(before, {"x": jnp.arange(4.0)}, key)
  for field in ("params", "opt_state", "model_state"):
    old, new = getattr(before, field), getattr(after, field)
    chex.assert_trees_all_equal(old["b"], new["b"])
    assert not jax.tree.all(jax.tree.map(jnp.array_equal, old["a"], new["a"])), field
  assert set(metrics) == {"a/loss", "a/gradient_norm", "a/mean"}


def test_model_state_none_means_unchanged(key):
  tx = optax.sgd(0.1)
  state = state_of({"w": jnp.array(3.0)}, tx, model_state={"n": jnp.array(5)})
  after, _ = gradient_step(quadratic, tx)(state, {"x": jnp.arange(4.0)}, key)
  assert after.model_state["n"] == 5


def test_repeat_is_a_loop_with_a_key_for_each_slice(key):
  tx = optax.sgd(0.1)

  def noisy(params, state, batch, key):
    return quadratic(
      params, state, {"x": batch["x"] + jax.random.normal(key, (2,))}, key
    )

  inner = gradient_step(noisy, tx)
  x = jnp.arange(6.0).reshape(3, 2)
  state = state_of({"w": jnp.array(3.0)}, tx)
  repeated, metrics = repeat(inner)(state, {"x": x}, key)
  means = []
  for i in range(3):
    state, row = inner(state, {"x": x[i]}, jax.random.fold_in(key, i))
    means.append(row["loss"])
  np.testing.assert_allclose(repeated.params["w"], state.params["w"], rtol=1e-6)
  np.testing.assert_allclose(metrics["loss"], np.mean(means), rtol=1e-6)


def test_repeat_takes_steps_on_one_batch_or_on_none(key):
  tx = optax.sgd(0.1)

  def objective(params, state, batch, key):
    target = sum(jnp.sum(leaf) for leaf in batch.values())
    noise = jax.random.normal(key, ())
    return (params["w"] - target - noise) ** 2, Aux({})

  inner = gradient_step(objective, tx)
  for batch in ({}, {"x": jnp.arange(3.0)}):
    state = state_of({"w": jnp.array(3.0)}, tx)
    repeated, _ = repeat(inner, num_steps=4)(state, batch, key)
    for i in range(4):
      state, _ = inner(state, batch, jax.random.fold_in(key, i))
    np.testing.assert_allclose(repeated.params["w"], state.params["w"], rtol=1e-6)
  with pytest.raises(ValueError, match="give `repeat` its num_steps"):
    repeat(inner)(state, {}, key)


def test_nan_of_nothing_is_left_out_but_not_of_a_loss(key):
  def step(state, batch, key):
    value = batch["x"]
    return state, {"return": value, "none": jnp.nan * value, "critic/loss": value}

  state = new_state(key, {}, {})
  x = jnp.array([1.0, jnp.nan, 3.0])
  _, metrics = repeat(step)(state, {"x": x}, key)
  assert metrics["return"] == 2.0
  assert jnp.isnan(metrics["none"]) and jnp.isnan(metrics["critic/loss"])


def test_one_player_alone_is_averaged(key):
  params = {"generator": {"w": jnp.array(3.0)}, "critic": {"w": jnp.array(1.0)}}
  state = new_state(key, params, {}, ema="generator")
  assert set(state.ema_params) == {"generator"}

  def step(state, batch, key):
    return state.replace(params=jax.tree.map(lambda w: w + 1, state.params)), {}

  state, _ = with_ema(step, 0.5, player="generator")(state, {}, key)
  np.testing.assert_allclose(state.ema_params["generator"]["w"], 3.9, rtol=1e-6)
  assert set(state.ema_params) == {"generator"}


def test_metrics_need_not_be_given(key):
  aux = Aux()
  assert aux.metrics == {} and jax.tree.leaves(aux) == []


def test_ema_warms_up_and_averages_parameters_only(key):
  decay, tx = 0.5, optax.sgd(0.1)
  state = state_of({"w": jnp.array(3.0)}, tx, ema=True)
  step = jax.jit(with_ema(gradient_step(quadratic, tx), decay))
  expected = 3.0
  for n in range(12):
    state, _ = step(state, {"x": jnp.arange(4.0)}, key)
    state = state.replace(step=state.step + 1)  # as the loop does
    d = min(decay, (1 + n) / (10 + n))
    expected = d * expected + (1 - d) * float(state.params["w"])
    np.testing.assert_allclose(state.ema_params["w"], expected, rtol=1e-5)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_ema_refuses_a_decay_out_of_range(decay):
  with pytest.raises(ValueError, match="decay"):
    with_ema(lambda *_: None, decay)


def test_the_emas_start_is_a_copy():
  state = state_of({"w": jnp.array(3.0)}, optax.sgd(0.1), ema=True)
  donating = jax.jit(lambda s: s, donate_argnums=0)
  donating(state)  # fails where two leaves share a buffer
