"""Networks that change in a forward pass: what is returned, and what is left alone."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jgm.models.stateful import init_stateful, stateful

MOMENTUM = 0.9


class Normalised(nn.Module):
  """Batch normalisation alone: all that it does is known."""

  @nn.compact
  def __call__(self, x, train=False):
    norm = nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM, epsilon=0.0)
    return norm(x)


class Spectral(nn.Module):
  """A dense layer whose matrix is divided by its largest singular value."""

  @nn.compact
  def __call__(self, x, train=False):
    return nn.SpectralNorm(nn.Dense(3))(x, update_stats=train)


class Plain(nn.Module):
  """A network that has no state."""

  @nn.compact
  def __call__(self, x, train=False):
    return nn.Dense(3)(x)


@pytest.fixture
def x(key):
  return 3.0 + 2.0 * jax.random.normal(key, (16, 4))


def test_training_normalises_by_the_batch_and_moves_the_statistics(key, x):
  params, model_state = init_stateful(Normalised(), key, x[:1])
  assert set(model_state) == {"batch_stats"} and set(params) == {"BatchNorm_0"}
  y, new = stateful(Normalised())(params, model_state, x, train=True)
  np.testing.assert_allclose(y.mean(axis=0), np.zeros(4), atol=1e-5)
  np.testing.assert_allclose(y.std(axis=0), np.ones(4), rtol=1e-4)
  statistics = new["batch_stats"]["BatchNorm_0"]
  mean = (1 - MOMENTUM) * x.mean(axis=0)
  variance = MOMENTUM * np.ones(4) + (1 - MOMENTUM) * x.var(axis=0)
  np.testing.assert_allclose(statistics["mean"], mean, rtol=1e-5)
  np.testing.assert_allclose(statistics["var"], variance, rtol=1e-4)


def test_evaluation_uses_what_is_stored_and_returns_it_as_it_was(key, x):
  params, model_state = init_stateful(Normalised(), key, x[:1])
  stored = {"mean": jnp.arange(4.0), "var": jnp.full(4, 4.0)}
  model_state = {"batch_stats": {"BatchNorm_0": stored}}
  y, new = stateful(Normalised())(params, model_state, x, train=False)
  np.testing.assert_allclose(y, (x - jnp.arange(4.0)[None]) / 2, rtol=1e-5, atol=1e-5)
  assert new is model_state


@pytest.mark.parametrize("model", [Normalised(), Spectral(), Plain()])
def test_a_call_is_a_pure_function_that_keeps_the_structure(model, key, x):
  params, model_state = jax.jit(lambda key: init_stateful(model, key, x[:1]))(key)
  before = jax.tree.map(np.array, model_state)
  apply = jax.jit(stateful(model), static_argnames="train")
  first, second = (apply(params, model_state, x, train=True) for _ in range(2))
  chex.assert_trees_all_equal(first, second)
  chex.assert_trees_all_equal_shapes_and_dtypes(model_state, first[1])
  chex.assert_trees_all_equal(before, jax.tree.map(np.array, model_state))
  is_stateful = not isinstance(model, Plain)
  assert bool(jax.tree.leaves(model_state)) == is_stateful
  moved = jax.tree.map(lambda x, y: bool(jnp.any(x != y)), model_state, first[1])
  assert any(jax.tree.leaves(moved)) == is_stateful


def test_what_has_no_state_is_called_in_the_same_way(key, x):
  params, model_state = init_stateful(Plain(), key, x[:1])
  assert model_state == {}
  apply = stateful(Plain())
  (trained, after), (evaluated, _) = (
    apply(params, model_state, x, train=train) for train in (True, False)
  )
  assert after == {}
  np.testing.assert_array_equal(trained, evaluated)
