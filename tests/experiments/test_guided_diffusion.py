"""Guided diffusion: what w does to a sample, who is trained, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import guided_diffusion
from jgm.cli.config import load_config
from jgm.data import make_dataset
from jgm.data.spec import DataSpec
from jgm.eval.class_conditional import class_diversity
from jgm.eval.guidance_scales import make_guidance_scales


def smoke(method="classifier_free", label_dropout=0.5, prediction="eps"):
  config = load_config("configs/guided_diffusion.py:smoke")
  config.method = method
  config.label_dropout = label_dropout
  config.prediction = prediction  # x_0 stays in the range, mostly
  return config


def trained(config, steps=4):
  """The experiment and its state after some steps."""
  experiment = guided_diffusion.make(config)
  state = jax.jit(lambda key: experiment.init(key, {}))(jax.random.key(0))
  batch = {
    "x": jax.random.uniform(jax.random.key(1), (20, 8, 8, 1), minval=-1.0),
    "label": jnp.arange(20) % 10,
  }
  step = jax.jit(experiment.step)
  for i in range(steps):
    state, metrics = step(state, batch, jax.random.key(10 + i))
    state = state.replace(step=state.step + 1)
  return experiment, state, metrics


def shaken(params):
  """Parameters that make a difference: the network starts at zero."""
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(jax.random.key(5), len(leaves))
  moved = [
    leaf + 0.2 * jax.random.normal(k, leaf.shape)
    for leaf, k in zip(leaves, keys, strict=True)
  ]
  return jax.tree.unflatten(tree, moved)


def table_of_classes(params):
  (table,) = [
    leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(params["denoiser"])
    if "embedding" in jax.tree_util.keystr(path) and leaf.shape[0] == 11
  ]
  return np.asarray(table)


@pytest.fixture(scope="module")
def free():
  experiment, state, _ = trained(smoke(), steps=1)
  return experiment, state.replace(ema_params=shaken(state.ema_params))


def one_step(experiment, state, w):
  """The guided x_0_hat of noise: one step of DDIM goes all the way."""
  return np.asarray(
    experiment.sample(
      state, jax.random.key(3), 10, guidance=w, sampler="ddim", num_steps=1
    )
  )


def test_a_guided_estimate_is_linear_in_w(free):
  experiment = guided_diffusion.make(smoke(prediction="x_0"))
  at = [one_step(experiment, free[1], w) for w in (0.0, 0.5, 1.0)]
  inside = np.all([np.abs(x) < 1 for x in at], axis=0)
  assert inside.mean() > 0.2
  moved = (at[1] - at[0])[inside]
  assert np.abs(moved).max() > 1e-3
  np.testing.assert_allclose((at[2] - at[1])[inside], moved, atol=1e-5)


def test_without_guidance_the_model_without_a_class_is_not_heard(free):
  experiment, state = free

  def forget(path, leaf):
    is_table = "embedding" in jax.tree_util.keystr(path) and leaf.shape[0] == 11
    return leaf.at[10].add(3.0) if is_table else leaf

  other = state.replace(
    ema_params=jax.tree_util.tree_map_with_path(forget, state.ema_params)
  )
  draw = lambda state, w: one_step(experiment, state, w)
  np.testing.assert_array_equal(draw(state, 0.0), draw(other, 0.0))
  assert np.abs(draw(state, 1.0) - draw(other, 1.0)).max() > 1e-3


def test_forgotten_classes_train_the_model_without_one():
  for config, forgets in ((smoke(), True), (smoke("classifier", 0.0), False)):
    experiment, state, _ = trained(config, steps=4)
    start = jax.jit(lambda key, e=experiment: e.init(key, {}))(jax.random.key(0))
    moved = table_of_classes(state.params) != table_of_classes(start.params)
    assert moved[:10].any(axis=1).all()
    assert moved[10].any() == forgets


def test_the_classifier_is_a_player_of_its_own():
  config = smoke("classifier", 0.0, prediction="x_0")
  experiment, state, metrics = trained(config, steps=4)
  assert set(state.params) == set(state.opt_state) == {"denoiser", "classifier"}
  assert {"denoiser/loss", "classifier/loss", "classifier/accuracy"} <= set(metrics)
  start = jax.jit(lambda key: experiment.init(key, {}))(jax.random.key(0))
  same = jax.tree.map(np.array_equal, start.params, state.params)
  assert not any(jax.tree.leaves(same)), same
  state = state.replace(ema_params=shaken(state.ema_params))
  drawn = [one_step(experiment, state, w) for w in (0.0, 2.0)]
  assert np.abs(drawn[0] - drawn[1]).max() > 1e-3
  assert np.isfinite(drawn).all()


@pytest.mark.parametrize("w", [-0.5, float("nan"), float("inf")])
def test_what_is_no_scale_is_refused(w, free):
  with pytest.raises(ValueError, match="guidance="):
    free[0].sample(None, None, 4, guidance=w)  # before the state is looked at
  config = smoke()
  config.guidance = w
  with pytest.raises(ValueError, match="guidance="):
    guided_diffusion.make(config)


def test_a_model_that_could_not_be_guided_is_refused():
  for dropout in (0.0, 1.0):
    with pytest.raises(ValueError, match="label_dropout"):
      guided_diffusion.make(smoke(label_dropout=dropout))
  with pytest.raises(ValueError, match="needs classes"):
    guided_diffusion.check(smoke(), DataSpec(shape=(8, 8, 1), levels=17))
  with pytest.raises(ValueError, match=r"config\.method='free'"):
    guided_diffusion.make(smoke("free"))


def test_diversity_is_the_mean_distance_within_a_class():
  features = np.array([[0.0, 0.0], [3.0, 4.0], [100.0, 0.0], [100.0, 1.0], [7.0, 7.0]])
  labels = np.array([0, 0, 1, 1, 2])  # distances 5 and 1; of class 2 there is one
  assert class_diversity(features, labels) == pytest.approx(3.0)
  with pytest.raises(ValueError, match="two examples"):
    class_diversity(features[:2], np.array([0, 1]))


def test_scales_are_told_apart_by_accuracy_and_diversity():
  """Real digits, one digit of each class again and again, and digits of others."""
  data = make_dataset(name="digits", batch_size=16, seed=0)
  test = data.split("test")
  by_class = [np.flatnonzero(test["label"] == k) for k in range(10)]
  rows = np.array([by_class[i % 10][i // 10] for i in range(100)])

  def sample(state, key, n, *, guidance):
    some = rows[:n]
    shown = {0.0: some, 1.0: some[np.arange(n) % 10], 2.0: np.roll(some, 1)}
    return test["x"][shown[guidance]]

  evaluate = make_guidance_scales(
    data, sample, scales=(0.0, 1.0, 2.0), num_samples=100, seed=0
  )
  found = evaluate(None, jax.random.key(0))
  value = lambda name: found.scalars[name].value
  real = found.scalars["class_accuracy_w0"]
  assert value("class_accuracy_w0") == pytest.approx(real.floor, abs=0.06)
  assert value("class_accuracy_w2") < 0.1
  assert value("class_diversity_w1") == pytest.approx(0.0, abs=1e-3)
  diversity = found.scalars["class_diversity_w0"]
  assert diversity.value == pytest.approx(diversity.floor, rel=0.1)
  assert value("frechet_distance_w1") > 2 * value("frechet_distance_w0")
  for picture in found.images.values():
    assert picture.dtype == np.uint8 and picture.ndim == 3


@pytest.mark.parametrize("scales", [(), (1.0, 0.0), (1.0, 1.0)])
def test_scales_that_do_not_grow_are_refused(scales):
  data = make_dataset(name="digits", batch_size=16, seed=0)
  with pytest.raises(ValueError, match="scales"):
    make_guidance_scales(data, lambda: None, scales=scales, num_samples=100, seed=0)
