import jax
import jax.numpy as jnp
import numpy as np

from jgm.ot.anderson import anderson_step, no_history, solve_positive


def test_an_affine_map_takes_as_many_steps_as_it_has_eigenvalues():
  with jax.enable_x64(True):
    rng = np.random.default_rng(0)
    vectors, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    eigenvalues = np.repeat([0.99, 0.9, 0.5, -0.7], 2)
    A, c = vectors * eigenvalues @ vectors.T, rng.normal(size=8)
    fixed_point = np.linalg.solve(np.eye(8) - A, c)
    weights = jnp.ones(8)
    step = jax.jit(lambda h, g: anderson_step(h, g, A @ g + c, weights))
    g, history = jnp.zeros(8), no_history(weights, 5)
    for _ in range(6):
      g, history = step(history, g)
    # plainly, 6 steps shrink the error by 0.99^6
    scale = np.abs(fixed_point).max()
    np.testing.assert_allclose(g, fixed_point, atol=1e-3 * scale)


def test_the_first_step_is_plain_and_nothing_to_learn_from_is_no_harm():
  g, image, weights = jnp.ones(3), 2 * jnp.ones(3), jnp.full(3, 1 / 3)
  following, history = anderson_step(no_history(g, 4), g, image, weights)
  np.testing.assert_array_equal(following, image)
  # the same point again: all differences are zero
  following, _ = anderson_step(history, g, image, weights)
  np.testing.assert_array_equal(following, image)


def test_solve_positive():
  with jax.enable_x64(True):
    rows = np.random.default_rng(0).normal(size=(5, 9))
    matrix, right = rows @ rows.T, rows[:, 0]
    found = solve_positive(jnp.asarray(matrix), jnp.asarray(right))
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-9)
