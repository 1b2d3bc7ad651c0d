import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jgm.core import make_optimizer


def sizes_of_updates(tx, num_steps, gradient=1.0):
  """Adam's update to a constant gradient is the learning rate itself."""
  params = jnp.zeros(())
  state, sizes = tx.init(params), []
  for _ in range(num_steps):
    update, state = tx.update(jnp.array(gradient), state, params)
    sizes.append(-float(update))
  return np.array(sizes)


def test_warm_up_then_constant():
  sizes = sizes_of_updates(
    make_optimizer(learning_rate=0.1, total_steps=10, warmup_steps=4), 8
  )
  expected = 0.1 * np.array([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])
  np.testing.assert_allclose(sizes, expected, rtol=1e-4)


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_a_decay_ends_at_zero(decay):
  tx = make_optimizer(learning_rate=0.1, total_steps=10, warmup_steps=2, decay=decay)
  sizes = sizes_of_updates(tx, 12)
  assert np.all(np.diff(sizes[2:]) <= 0) and abs(sizes[10]) < 1e-7
  np.testing.assert_allclose(sizes[6], 0.05, rtol=1e-4)  # half-way through either


def test_accumulation_averages_gradients_and_keeps_the_schedule():
  many = make_optimizer(
    learning_rate=0.1, total_steps=8, warmup_steps=4, accumulate_steps=2
  )
  sizes = sizes_of_updates(many, 8)
  np.testing.assert_allclose(
    sizes, 0.1 * np.array([0, 0.5, 0, 1, 0, 1, 0, 1]), rtol=1e-4
  )


def test_clipping_and_weight_decay_are_optaxs():
  params = jnp.array([3.0, -4.0])
  tx = make_optimizer(
    learning_rate=0.1, total_steps=5, clip_norm=1.0, weight_decay=0.01
  )
  reference = optax.chain(
    optax.clip_by_global_norm(1.0), optax.adamw(0.1, weight_decay=0.01)
  )
  gradient = jnp.array([30.0, 40.0])
  ours, _ = tx.update(gradient, tx.init(params), params)
  theirs, _ = reference.update(gradient, reference.init(params), params)
  np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_sgd_moves_by_the_gradient_itself():
  params, gradient = jnp.array([3.0, -4.0]), jnp.array([2.0, 0.5])
  tx = make_optimizer(
    learning_rate=0.1, total_steps=5, algorithm="sgd", weight_decay=0.01
  )
  update, _ = tx.update(gradient, tx.init(params), params)
  np.testing.assert_allclose(update, -0.1 * (gradient + 0.01 * params), rtol=1e-6)


@pytest.mark.parametrize(
  ("wrong", "message"),
  [
    ({"decay": "linera"}, "one of constant, linear, cosine. Did you mean 'linear'"),
    ({"algorithm": "adan"}, "one of adam, sgd. Did you mean 'adam'"),
  ],
)
def test_what_is_unknown_is_refused(wrong, message):
  with pytest.raises(ValueError, match=message):
    make_optimizer(learning_rate=0.1, total_steps=5, **wrong)
