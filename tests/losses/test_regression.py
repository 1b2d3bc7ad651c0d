import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.losses.regression import squared_error


def test_squared_error_is_a_mean_per_example(key):
  output, target = jax.random.normal(key, (2, 3, 4, 5, 2))
  wanted = [np.mean((output[i] - target[i]) ** 2) for i in range(3)]
  loss = jax.jit(squared_error)
  np.testing.assert_allclose(loss(output, target), wanted, rtol=1e-6)
  np.testing.assert_array_equal(loss(output, output), 0)
  x = jnp.full(output.shape, 1e15)
  huge = jax.jit(jax.grad(lambda x: jnp.sum(squared_error(x, -x))))(x)
  assert np.all(np.isfinite(huge))
  with pytest.raises(AssertionError):
    squared_error(output, target[..., 0])
