"""Generators: their shapes, what differs with the noise, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.models.generator import ConvGenerator, DenseGenerator

GENERATORS = {
  "points": DenseGenerator(shape=(2,), features=8, num_layers=1),
  "dense": DenseGenerator(shape=(4, 6, 1), features=8),
  "conv": ConvGenerator(shape=(8, 4, 3), channels=4, num_doublings=2),
  "bfloat16": ConvGenerator(shape=(4, 4, 1), channels=4, dtype=jnp.bfloat16),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_each_row_of_noise_makes_its_own_example(name, key):
  """Alone or among others: nothing is shared over a batch, as by batch statistics."""
  model = GENERATORS[name]
  key_z, key_params = jax.random.split(key)
  z = jax.random.normal(key_z, (3, 5))
  params = jax.jit(model.init)(key_params, z)
  apply = jax.jit(model.apply)
  x = apply(params, z)
  assert x.shape == (3, *model.shape) and x.dtype == jnp.float32
  np.testing.assert_allclose(apply(params, z[1:2])[0], x[1], rtol=1e-4, atol=1e-5)
  assert float(jnp.abs(x[0] - x[1]).max()) > 1e-3
  kernels = jax.tree.leaves(params)
  assert all(leaf.dtype == jnp.float32 for leaf in kernels)


def test_a_size_that_cannot_be_halved_so_often_is_refused(key):
  model = ConvGenerator(shape=(28, 28, 1), num_doublings=3)
  with pytest.raises(ValueError, match="multiples of 8"):
    jax.eval_shape(model.init, key, jnp.zeros((1, 2)))
