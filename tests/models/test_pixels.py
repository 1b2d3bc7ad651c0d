"""Sums over pixels and their transposes, against what plain broadcasting gives."""

import jax
import jax.numpy as jnp
import numpy as np

from jgm.models.pixels import add_bias, pixel_sum, spread


def normal(seed, *shape):
  return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def both(f, g, *arguments):
  """Values and gradients of a nonlinear function of the result, of both."""
  of = lambda h: jax.value_and_grad(lambda *a: jnp.sum(jnp.sin(h(*a))), (0, 1))
  for a, b in zip(
    jax.tree.leaves(of(f)(*arguments)),
    jax.tree.leaves(of(g)(*arguments)),
    strict=True,
  ):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_equal_to_broadcasting_and_summing():
  x, values, bias = normal(0, 3, 4, 5, 6), normal(1, 3, 6), normal(2, 6)
  both(lambda x, v: x * spread(v, x), lambda x, v: x * v[:, None, None], x, values)
  both(add_bias, lambda x, b: x + jnp.broadcast_to(b, x.shape), x, bias)
  both(add_bias, lambda x, b: x + jnp.broadcast_to(b, x.shape), x[0, 0], bias)
  flat = x.reshape(3, 20, 6)
  np.testing.assert_allclose(pixel_sum(flat), flat.sum(1), rtol=1e-5, atol=1e-5)


def test_mapped_and_in_forward_mode():
  x, values = normal(0, 2, 3, 4, 5), normal(1, 2, 3, 5)
  one = lambda v, x: jnp.sin(spread(v, x))
  plain = lambda v, x: jnp.sin(jnp.broadcast_to(v[:, None], x.shape))
  for f in (one, plain):
    mapped = jax.vmap(f)(values, x)
    tangent = jax.jvp(f, (values[0], x[0]), (values[1], x[1]))[1]
    if f is one:
      first = mapped, tangent
  np.testing.assert_allclose(first[0], mapped, rtol=1e-6)
  np.testing.assert_allclose(first[1], tangent, rtol=1e-5)


def test_a_bias_in_bfloat16_keeps_the_dtype():
  y = add_bias(jnp.ones((2, 3), jnp.bfloat16), jnp.ones(3))
  assert y.dtype == jnp.bfloat16
