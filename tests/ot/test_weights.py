"""Weights: uniform by default, checked where they are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import ot
from jgm.ot.weights import check_weights


def test_they_are_uniform_by_default():
  np.testing.assert_array_equal(check_weights(None, 4, "a"), np.full(4, 0.25, "f"))


def test_they_keep_their_values_and_their_floats():
  assert check_weights([1, 0], 2, "a").dtype == jnp.float32
  half = jnp.full(2, 0.5, jnp.bfloat16)
  assert check_weights(half, 2, "a").dtype == jnp.bfloat16
  assert check_weights(half, 2, "a", jnp.float32).dtype == jnp.float32
  with jax.enable_x64(True):
    assert check_weights(np.array([0.25, 0.75]), 2, "a").dtype == jnp.float64
  # A sum is known to its rounding only, and so is that of a coarser dtype.
  check_weights(np.full(10_000, 1e-4, np.float32), 10_000, "a")
  check_weights(jnp.full(3, 1 / 3, jnp.bfloat16), 3, "a")


@pytest.mark.parametrize(
  ("weights", "message"),
  [
    ([0.5, 0.5, 0.5], "sum 1"),
    ([1.5, -0.5, 0.0], ">= 0"),
    ([np.nan, 0.5, 0.5], "NaN"),
    ([0.5, 0.5], "shape"),
    ([[1.0, 0.0, 0.0]], "shape"),
    ([0.5, 0.5, 2e-4], "sum 1"),
  ],
)
def test_bad_ones_are_refused(weights, message):
  with pytest.raises(ValueError, match=message):
    check_weights(weights, 3, "a")


def test_a_coarse_sum_does_not_keep_a_problem_from_converging():
  """Thirds of bfloat16 have the sum 1.002; known or traced, they are weights."""
  x, a = np.arange(3.0)[:, None], jnp.full(3, 1 / 3, jnp.bfloat16)
  solve = lambda a: ot.sinkhorn(x, x + 1.0, a, a, epsilon=1.0)
  traced = jax.jit(solve)
  for result in (solve(a), traced(a), solve([1 / 3] * 3)):
    assert result.converged and result.error < 1e-3
  assert not traced(jnp.full(3, 0.34, jnp.bfloat16)).converged


def test_of_no_points_there_are_none():
  with pytest.raises(ValueError, match="no points"):
    check_weights(None, 0, "a")


def test_traced_ones_are_checked_for_their_shape_alone():
  checked = jax.jit(lambda a: check_weights(a, 2, "a"))
  np.testing.assert_array_equal(checked(jnp.array([3.0, -1.0])), [3.0, -1.0])
  with pytest.raises(ValueError, match="shape"):
    checked(jnp.ones(3))
