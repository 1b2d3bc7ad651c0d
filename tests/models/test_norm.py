"""Batch normalisation against Flax's, whose sums and gradients autodiff writes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jgm.models.norm import BatchNorm


@pytest.fixture
def inputs():
  rng = np.random.default_rng(0)
  images = rng.normal(size=(2, 4, 3, 5, 6)) * rng.uniform(0.5, 3, 6) + rng.normal(
    size=6
  )
  return jnp.float32(images), jnp.float32(rng.normal(size=images.shape))


def variables_of(model, images):
  """Everything drawn, as a shift of zero would hide that it is there."""
  rng = np.random.default_rng(1)
  drawn = lambda a: jnp.asarray(rng.uniform(0.5, 2.0, a.shape), jnp.float32)
  return jax.tree.map(drawn, model.init(jax.random.key(0), images))


@pytest.mark.parametrize("train", [True, False])
def test_it_is_flaxs_with_its_gradients_of_two_orders(inputs, train):
  ours, flaxs = BatchNorm(), nn.BatchNorm(use_running_average=not train, momentum=0.9)
  variables = variables_of(ours, inputs[0][0])
  jax.tree.map(
    np.testing.assert_array_equal, variables, variables_of(flaxs, inputs[0][0])
  )

  def outcome(call):
    """All there is: outputs, statistics, first and second derivatives, by runs."""

    def loss(params, x, weight):
      both = {**variables, "params": params}
      y, updates = call(both, x)
      return jnp.sum(weight * jnp.sin(y)), (y, updates["batch_stats"])

    def of_run(x, weight):
      grads, aux = jax.grad(loss, argnums=(0, 1), has_aux=True)(
        variables["params"], x, weight
      )
      slope = lambda x: jnp.sum(
        jnp.cos(x)
        * jax.grad(loss, argnums=1, has_aux=True)(variables["params"], x, weight)[0]
      )
      return grads, aux, jax.grad(slope)(x)

    return jax.jit(jax.vmap(of_run))(*inputs)

  kw = {"mutable": ["batch_stats"]}
  expected = outcome(lambda v, x: flaxs.apply(v, x, **kw))
  actual = outcome(lambda v, x: ours.apply(v, x, train=train, **kw))
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)
  jax.tree.map(close, actual, expected)


def test_without_an_affine_there_are_no_parameters(inputs):
  model, images = BatchNorm(use_affine=False), inputs[0][0]
  variables = model.init(jax.random.key(0), images)
  assert set(variables) == {"batch_stats"}
  y, _ = model.apply(variables, images, train=True, mutable=["batch_stats"])
  np.testing.assert_allclose(y.mean((0, 1, 2)), np.zeros(6), atol=1e-5)
  np.testing.assert_allclose(y.std((0, 1, 2)), np.ones(6), rtol=1e-4)
