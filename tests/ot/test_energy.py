"""The energy distance as a loss: against the one that measures, and its gradient."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import scipy.stats

from jgm.eval.energy_distance import energy_distance as measured
from jgm.ot.energy import energy_distance


@pytest.fixture
def clouds():
  rng = np.random.default_rng(0)
  return rng.normal(size=(9, 6)), 0.5 + rng.normal(size=(7, 6))


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("width", [2, 6])
def test_it_is_the_measured_one(clouds, unbiased, width):
  x, y = (cloud[:, :width] for cloud in clouds)
  expected = measured(x, y, unbiased=unbiased)
  loss = jax.jit(lambda x, y: energy_distance(x, y, unbiased=unbiased, block_size=4))
  with jax.enable_x64(True):
    value = loss(x, y)
  assert value == pytest.approx(expected, rel=1e-10)
  # float32: sums of distances of about 3 to 1e-7 of them, of which 1e-1 is left.
  single = loss(x.astype("f"), y.astype("f"))
  assert single == pytest.approx(expected, abs=2e-6)


def test_weighted_on_a_line_it_is_scipys_squared():
  rng = np.random.default_rng(0)
  x, y, a = rng.normal(size=8), 1 + rng.normal(size=5), rng.dirichlet(np.ones(8))
  with jax.enable_x64(True):
    value = energy_distance(x[:, None], y[:, None], a, unbiased=False)
  expected = scipy.stats.energy_distance(x, y, a) ** 2
  assert value == pytest.approx(expected, rel=1e-10)


def test_its_gradient_is_a_finite_difference(clouds):
  with jax.enable_x64(True):
    jax.test_util.check_grads(
      jax.jit(energy_distance), clouds, order=1, modes=["rev"], rtol=1e-5
    )


@pytest.mark.parametrize("width", [2, 6])
def test_where_points_coincide_the_gradient_is_finite(clouds, width):
  x = jnp.asarray(clouds[0][:, :width], jnp.float32)
  x = x.at[1].set(x[0])
  for unbiased in (True, False):
    loss = lambda x, y, unbiased=unbiased: energy_distance(x, y, unbiased=unbiased)
    slopes = jax.grad(loss, (0, 1))(x, x)
    assert all(np.isfinite(slope).all() for slope in slopes)
  # Biased, equal clouds are the minimum; each slope is a sum of unit vectors over n^2.
  assert abs(loss(x, x)) < 1e-6
  np.testing.assert_allclose(slopes, 0.0, atol=1e-6)


def test_far_from_the_origin_it_is_as_exact(clouds):
  x, y = (cloud.astype("f") for cloud in clouds)
  moved = float(energy_distance(x + 1024.0, y + 1024.0))
  # The points themselves are rounded to 1024 * 2^-24.
  assert moved == pytest.approx(float(energy_distance(x, y)), abs=2e-4)


def test_two_points_are_needed(clouds):
  x, y = clouds
  with pytest.raises(ValueError, match="2 points"):
    energy_distance(x[:1], y)
  # Two points 1 apart: 2 * 1 - 0 - 0.
  assert energy_distance(np.zeros((1, 1)), np.ones((1, 1)), unbiased=False) == 2.0
