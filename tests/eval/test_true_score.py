"""A learned score beside the true one, on scores that are known."""

import jax.numpy as jnp
import numpy as np

from jgm.eval.true_score import score_errors, score_fields


def truth(x):
  return -x


def shifted(x):
  return -x + jnp.array([[1.0, 2.0]])


def test_the_error_is_the_squared_distance_and_the_ceiling_that_of_zero():
  points = {"near": jnp.array([[3.0, 4.0], [0.0, 0.0]]), "far": jnp.array([[6.0, 8.0]])}
  found = score_errors(shifted, truth, points)
  assert list(found) == ["score_error_near", "score_error_far"]
  for name, ceiling in {"near": 12.5, "far": 100.0}.items():
    scalar = found[f"score_error_{name}"]
    np.testing.assert_allclose(scalar.value, 5.0, rtol=1e-6)
    np.testing.assert_allclose(scalar.ceiling, ceiling, rtol=1e-6)
    assert scalar.floor == 0.0


def test_the_fields_are_drawn_over_the_square():
  asked = []

  def watched(x):
    asked.append(np.asarray(x))
    return truth(x)

  picture = score_fields(
    {"learned": shifted, "true": watched}, low=-3.0, high=5.0, samples=np.zeros((4, 2))
  )
  assert picture.dtype == np.uint8 and picture.ndim == 3
  (grid,) = asked
  assert grid.min() == -3.0 and grid.max() == 5.0
  assert len(np.unique(grid, axis=0)) == 400
