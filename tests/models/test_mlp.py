"""The MLP: its sizes, and that time and class are heard where there are any."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.models.mlp import MLP

X = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2)), jnp.float32)
T = jnp.array([0.0, 10.0, 999.0])
LABEL = jnp.array([0, 1, 4])


def drawn(model, *args):
  """Parameters all drawn, as zero ones would hide the network."""
  shapes = jax.eval_shape(model.init, jax.random.key(0), *args)
  rng = np.random.default_rng(1)
  draw = lambda a: jnp.asarray(0.5 * rng.normal(size=a.shape), a.dtype)
  return jax.tree.map(draw, shapes)


def count(variables):
  return sum(a.size for a in jax.tree.leaves(variables))


def test_parameters():
  """Layers of (in + 1) out; a time or a class brings the hidden layers' biases."""
  h, model = 128, MLP(features=128, num_layers=3)
  plain = drawn(model, X)
  assert count(plain) == (2 + 1) * h + 2 * (h + 1) * h + (h + 1) * 2
  told = count(plain) + 3 * h * h
  timed = drawn(model, X, T)
  assert count(timed) == told + 2 * (h + 1) * h
  labelled = drawn(model.copy(num_classes=4), X, None, LABEL)
  assert count(labelled) == told + 5 * h
  assert {a.dtype for a in jax.tree.leaves(drawn(MLP(dtype=jnp.bfloat16), X, T))} == {
    jnp.dtype("float32")
  }


def test_one_hidden_layer_by_hand():
  model = MLP(features=8, num_layers=1, out_features=3)
  variables = drawn(model, X)
  first, last = variables["params"]["Dense_0"], variables["params"]["last"]
  y = np.asarray(X @ first["kernel"] + first["bias"][None], np.float64)
  y = y / (1 + np.exp(-y))
  wanted = y @ np.asarray(last["kernel"]) + np.asarray(last["bias"])
  np.testing.assert_allclose(model.apply(variables, X), wanted, rtol=1e-5, atol=1e-6)


def test_the_output_is_float32_and_zero_at_the_start():
  for model in (MLP(), MLP(num_classes=4, dtype=jnp.bfloat16)):
    variables = model.init(jax.random.key(0), X, T)
    out = model.apply(variables, X, T)
    assert out.shape == X.shape and out.dtype == jnp.float32
    np.testing.assert_array_equal(out, 0.0)


def test_time_and_class_are_heard_by_their_example_alone():
  model = MLP(features=16, num_layers=2, num_classes=4)
  variables = drawn(model, X, T, LABEL)
  apply = lambda *args: np.asarray(model.apply(variables, *args))
  before = apply(X, T, LABEL)
  later = T.at[1].set(500.0)
  other = LABEL.at[1].set(3)
  for after in (apply(X, later, LABEL), apply(X, T, other)):
    assert np.abs(after[1] - before[1]).max() > 1e-3
    np.testing.assert_allclose(after[[0, 2]], before[[0, 2]], rtol=1e-5)
  # The last label is that of no class.
  none = jnp.full(3, 4)
  np.testing.assert_array_equal(apply(X, T), apply(X, T, none))


def test_neighbouring_times_are_told_apart_and_early_from_late():
  model = MLP(features=64, num_layers=1)
  variables = drawn(model, X, T)
  at = lambda t: np.asarray(model.apply(variables, X[:1], jnp.array([t])))
  for t, s in [(0.0, 1.0), (998.0, 999.0), (0.0, 999.0)]:
    assert np.abs(at(t) - at(s)).max() > 1e-2


def test_dropout_is_on_in_training_alone():
  model = MLP(features=64, num_layers=2, dropout=0.5)
  variables = drawn(model, X)
  apply = lambda train, seed: model.apply(
    variables, X, train=train, rngs={"dropout": jax.random.key(seed)}
  )
  np.testing.assert_array_equal(apply(False, 0), apply(False, 1))
  assert not np.allclose(apply(True, 0), apply(True, 1))


def test_what_does_not_belong_together_is_refused():
  with pytest.raises(ValueError, match="num_classes"):
    MLP().init(jax.random.key(0), X, T, LABEL)
  with pytest.raises(ValueError, match="num_layers"):
    MLP(num_layers=0).init(jax.random.key(0), X)
  with pytest.raises(AssertionError, match="shape"):
    MLP().init(jax.random.key(0), X, T[:1])
  with pytest.raises(AssertionError, match="shape"):
    MLP(num_classes=4).init(jax.random.key(0), X, T, LABEL[:1])
  with pytest.raises(AssertionError, match="rank"):
    MLP().init(jax.random.key(0), X[0])
