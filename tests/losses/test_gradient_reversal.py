import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jgm.losses.gradient_reversal import reverse_gradient


def loss(x):
  return jnp.sum(jnp.sin(x) * jnp.arange(1.0, 7.0).reshape(x.shape))


@pytest.fixture
def x(key):
  return 3.0 * jax.random.normal(key, (2, 3))


@chex.variants(with_jit=True, without_jit=True)  # type: ignore[call-arg]
class GradientReversalTest(chex.TestCase):
  def test_the_value_is_the_same_to_the_bit(self):
    x = jnp.array([1.1, -0.0, 3e38, jnp.inf])
    same = self.variant(lambda x: reverse_gradient(x, 0.3))(x)
    np.testing.assert_array_equal(np.asarray(same).view("i4"), np.asarray(x).view("i4"))


@pytest.mark.parametrize("scale", [0.0, 0.3, 2.0])
def test_the_gradient_is_minus_scale_times_the_true_one(x, scale):
  check_grads(loss, (x,), order=1, modes=["rev"])
  true = jax.grad(loss)(x)
  found = jax.jit(jax.grad(lambda x, s: loss(reverse_gradient(x, s))))(x, scale)
  np.testing.assert_allclose(found, -scale * true, rtol=1e-6)


def test_what_follows_learns_as_usual(x):
  """On w2 * r(w1 * x), the layer between, w2's gradient is true and w1's reversed."""
  of = lambda w, layer: jnp.mean(jnp.tanh(w["2"] * layer(w["1"] * x)))
  w = {"1": jnp.array(0.7), "2": jnp.array(-1.3)}
  true = jax.grad(of)(w, lambda x: x)
  found = jax.grad(of)(w, lambda x: reverse_gradient(x, 0.25))
  np.testing.assert_allclose(found["2"], true["2"], rtol=1e-6)
  np.testing.assert_allclose(found["1"], -0.25 * true["1"], rtol=1e-6)


def test_each_example_may_have_its_own_scale(x):
  scale = jnp.array([0.5, 2.0])
  one = lambda x, s: jnp.sum(jnp.sin(reverse_gradient(x, s)))
  found = jax.vmap(jax.grad(one))(x, scale)
  np.testing.assert_allclose(found, -scale[:, None] * jnp.cos(x), rtol=1e-6)


def test_forward_mode_agrees_and_scale_gets_no_gradient(x):
  through = lambda x: loss(reverse_gradient(x, 0.3))
  _, along = jax.jvp(through, (x,), (jnp.ones_like(x),))
  np.testing.assert_allclose(along, jnp.sum(jax.grad(through)(x)), rtol=1e-5)
  of_scale = jax.grad(lambda s: loss(reverse_gradient(x, s)))(jnp.array(0.3))
  np.testing.assert_array_equal(of_scale, 0.0)


def test_half_precision_stays_so():
  gradient = jax.grad(lambda x: jnp.sum(reverse_gradient(x, jnp.float32(0.5))))
  assert gradient(jnp.ones(3, jnp.bfloat16)).dtype == jnp.bfloat16
