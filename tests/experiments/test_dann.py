"""DANN: whose gradient is reversed, whose labels are heard, what the probe sees."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import dann
from jgm.cli.config import load_config
from jgm.data import DatasetError

HEADS = ("classifier", "domain_classifier")


def make(**changes):
  """The experiment of `smoke` by plain gradient descent at a rate of 1."""
  config = load_config("configs/dann.py:smoke")
  config.optimizer.update(
    algorithm="sgd", learning_rate=1.0, warmup_steps=0, clip_norm=None, flatten=False
  )
  config.update_from_flattened_dict(changes)
  return dann.make(config), config


@pytest.fixture(scope="module")
def state():
  """Halfway through training, where the reversal is not 0."""
  experiment, config = make()
  state = jax.jit(lambda key: experiment.init(key, {}))(jax.random.key(0))
  return state.replace(step=jnp.int32(config.total_steps // 2))


@pytest.fixture(scope="module")
def batch():
  experiment, _ = make()
  return experiment.data.batch(experiment.data.arrays(0, 1), jnp.int32(0))


def descent(state, batch, **changes):
  """What one step takes from the parameters: by the rate of 1, its gradient."""
  experiment, _ = make(**changes)
  new, metrics = jax.jit(experiment.step)(state, batch, jax.random.key(1))
  return jax.tree.map(lambda old, new: old - new, state.params, new.params), metrics


def dense(params, x):
  """Dense layers with ReLU between them, written out."""
  layers = [params[name] for name in sorted(params)]
  for layer in layers[:-1]:
    x = jnp.maximum(x @ layer["kernel"] + layer["bias"][None], 0)
  return x @ layers[-1]["kernel"] + layers[-1]["bias"][None]


def by_hand(config):
  """Both losses, without the experiment: (params, batch) -> class's, domain's."""
  features = lambda params, x: dann.ConvFeatures(**config.model).apply(
    {"params": params["features"]}, x
  )

  def class_loss(params, batch):
    logits = dense(params["classifier"], features(params, batch["x"]))
    chosen = jax.nn.one_hot(batch["label"], 10) * jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.sum(chosen, axis=-1))

  def domain_loss(params, batch):
    logit = lambda x: dense(params["domain_classifier"], features(params, x))[:, 0]
    source, target = jax.nn.sigmoid(logit(batch["x"])), logit(batch["x_target"])
    nats = -jnp.log(1 - source), -jnp.log(jax.nn.sigmoid(target))
    return (jnp.mean(nats[0]) + jnp.mean(nats[1])) / 2

  return class_loss, domain_loss


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_the_features_get_the_domains_gradient_reversed(state, batch, weight):
  """And the heads theirs as it is, whatever the weight."""
  _, config = make()
  of_class, of_domain = (
    jax.grad(loss)(state.params, batch) for loss in by_hand(config)
  )
  found, metrics = descent(state, batch, **{"reversal.weight": weight})
  scale = weight * (2 / (1 + np.exp(-10 * 0.5)) - 1)
  np.testing.assert_allclose(metrics["reversal"], scale, rtol=1e-5)
  close = lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-3, atol=2e-6)
  expected = jax.tree.map(
    lambda c, d: c - scale * d, of_class["features"], of_domain["features"]
  )
  jax.tree.map(close, found["features"], expected)
  jax.tree.map(close, found["classifier"], of_class["classifier"])
  jax.tree.map(close, found["domain_classifier"], of_domain["domain_classifier"])
  # the check would see another sign, or none
  sizes = [optax.tree.norm(g["features"]) for g in (of_class, of_domain)]
  assert min(sizes) > 1e-3


def test_the_reversal_begins_at_zero(state, batch):
  for step, expected in ((0, 0.0), (2, np.tanh(1.25)), (8, np.tanh(5.0))):
    at = state.replace(step=jnp.int32(step))
    _, metrics = descent(at, batch, **{"reversal.weight": 1.0})
    np.testing.assert_allclose(metrics["reversal"], expected, rtol=1e-5, atol=1e-7)


def test_the_classifier_sees_the_source_alone(state, batch):
  other = {**batch, "x_target": -batch["x_target"][::-1]}
  one, two = (descent(state, each)[0] for each in (batch, other))
  same = lambda x, y: jax.tree.map(np.testing.assert_array_equal, x, y)
  same(one["classifier"], two["classifier"])
  assert not np.array_equal(*(jax.tree.leaves(g["features"])[0] for g in (one, two)))
  # and without a reversal the features hear nothing of the target
  one, two = (
    descent(state, each, **{"reversal.weight": 0.0})[0] for each in (batch, other)
  )
  same(one["features"], two["features"])


def with_target_labels_permuted(arrays):
  order = np.random.default_rng(0).permutation(1297)

  def permute(path, leaf):
    words = jax.tree_util.keystr(path)
    return leaf[order] if "target" in words and "label" in words else leaf

  return jax.tree_util.tree_map_with_path(permute, arrays)


def test_the_labels_of_the_target_change_no_bit():
  experiment, _ = make()
  arrays = experiment.data.arrays(0, 1)
  other = with_target_labels_permuted(arrays)
  differ = jax.tree.map(lambda x, y: not np.array_equal(x, y), arrays, other)
  assert sum(jax.tree.leaves(differ)) == 1

  @jax.jit
  def run(arrays):
    def one(i, state):
      batch = experiment.data.batch(arrays, i)
      state, _ = experiment.step(state, batch, jax.random.key(2))
      return state.replace(step=state.step + 1)

    start = experiment.init(jax.random.key(0), {})
    return jax.lax.fori_loop(0, 6, one, start).params

  jax.tree.map(np.testing.assert_array_equal, run(arrays), run(other))
  # they are there to be heard: a run on the target's labels does
  supervised, _ = make(**{"data.name": "digits_over_photos"})
  step = jnp.int32(0)
  labels = [
    supervised.data.batch({**arrays, "source": each["target"]}, step)["label"]
    for each in (arrays, other)
  ]
  assert not np.array_equal(*labels)


def test_a_sample_is_drawn_in_proportion_to_the_class():
  """A classifier that is sure of one image draws no other."""
  experiment, _ = make()
  state = jax.jit(lambda key: experiment.init(key, {}))(jax.random.key(0))
  held_out = experiment.data.split("test")["x_target"]
  any_of_them = np.asarray(experiment.sample(state, jax.random.key(1), 2000))
  rows = {x.tobytes() for x in any_of_them}
  assert rows <= {x.tobytes() for x in held_out} and len(rows) > 450
  with pytest.raises(ValueError, match="class_label=10"):
    experiment.sample(state, jax.random.key(1), 3, class_label=10)
  large = jax.tree.map(lambda w: 30 * w, state.ema_params["classifier"])
  sure = state.replace(ema_params={**state.ema_params, "classifier": large})
  drawn = np.asarray(experiment.sample(sure, jax.random.key(1), 2000, class_label=3))
  assert len({x.tobytes() for x in drawn}) < len(rows)


def test_what_cannot_be_is_refused():
  with pytest.raises(ValueError, match=r"config.reversal.weight=-1"):
    make(**{"reversal.weight": -1.0})
  with pytest.raises(DatasetError, match="one size"):
    make(target="mnist_over_photos")
