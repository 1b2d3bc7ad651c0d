"""The classifier of noisy images: its sizes, and that it is told the noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.models.noisy_classifier import NoisyClassifier

MODEL = NoisyClassifier(3, channels=4)
T = jnp.array([3, 500])


def images(height=5, width=7):
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.normal(size=(2, height, width, 1)), jnp.float32)


def test_logits_are_zero_at_first():
  logits, variables = jax.jit(MODEL.init_with_output)(jax.random.key(0), images(), T)
  np.testing.assert_array_equal(logits, np.zeros((2, 3)))
  assert logits.dtype == jnp.float32 and set(variables) == {"params"}


@pytest.mark.parametrize("size", [(5, 7), (8, 8), (1, 3)], ids=str)
def test_any_size(size):
  model = MODEL.copy(channel_multipliers=(1, 2, 3), dtype=jnp.bfloat16)
  init = lambda: model.init_with_output(jax.random.key(0), images(*size), T)
  logits, _ = jax.eval_shape(init)
  assert logits.shape == (2, 3) and logits.dtype == jnp.float32


def test_time_and_image_are_heard_by_their_example_alone():
  x = images()
  shapes = jax.eval_shape(MODEL.init, jax.random.key(0), x, T)
  rng = np.random.default_rng(1)
  draw = lambda a: jnp.asarray(0.3 * rng.normal(size=a.shape), a.dtype)
  apply = jax.jit(MODEL.apply)
  variables = jax.tree.map(draw, shapes)
  before = apply(variables, x, T)
  for after in (
    apply(variables, x, T.at[1].set(501)),
    apply(variables, x.at[1].add(1.0), T),
  ):
    assert jnp.abs(after[1] - before[1]).max() > 1e-3
    np.testing.assert_allclose(after[0], before[0], rtol=1e-5, atol=1e-6)


def test_one_time_is_not_for_all_images():
  with pytest.raises(AssertionError, match="shape"):
    jax.eval_shape(MODEL.init, jax.random.key(0), images(), T[:1])
