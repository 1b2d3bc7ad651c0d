"""Gaussians: against scipy's matrix root, closed forms and finite differences."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import scipy.linalg

from jgm.ot.bures import bures, bures_wasserstein
from jgm.ot.covariance import covariance_root, lyapunov
from jgm.ot.gaussian_map import gaussian_map, gaussian_map_matrix

ONE = jnp.eye(3)


@pytest.fixture
def rng():
  return np.random.default_rng(0)


def covariance(rng, d=3):
  factor = rng.normal(size=(d, d + 2))
  return factor @ factor.T / d


def by_definition(cov_1, cov_2):
  root = scipy.linalg.sqrtm(cov_1).real
  cross = scipy.linalg.sqrtm(root @ cov_2 @ root).real
  return np.trace(cov_1) + np.trace(cov_2) - 2 * np.trace(cross)


def test_it_is_its_definition(rng):
  cov_1, cov_2 = covariance(rng), covariance(rng)
  mean_1, mean_2 = rng.normal(size=(2, 3))
  expected = by_definition(cov_1, cov_2)
  with jax.enable_x64(True):
    assert bures(cov_1, cov_2) == pytest.approx(expected, rel=1e-12)
    whole = bures_wasserstein(mean_1, cov_1, mean_2, cov_2)
  assert whole == pytest.approx(expected + np.sum((mean_1 - mean_2) ** 2), rel=1e-12)
  assert bures(cov_1, cov_2) == pytest.approx(expected, rel=1e-5)


def test_close_covariances_keep_their_digits():
  """(1 - sqrt(1 + h))^2 is h^2 / 4: far below eps times the trace."""
  h = 2.0**-10
  expected = 3 * (1 - np.sqrt(1 + h)) ** 2
  assert bures(ONE, ONE * (1 + h)) == pytest.approx(expected, rel=1e-2)
  # A rotation makes the roots general; their own rounding is 1e-7 of them, squared.
  rotation = scipy.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
  cov = jnp.asarray(rotation @ np.diag([1.0, 2.0, 9.0]) @ rotation.T, jnp.float32)
  assert 0.0 <= bures(cov, cov) < 1e-11


@pytest.mark.parametrize("epsilon", [0.0, 0.7])
def test_the_map_solves_its_equation(rng, epsilon):
  """A C_1 A + epsilon / 2 A = C_2: the variance of the mean, and the mean variance."""
  cov_1, cov_2 = covariance(rng), covariance(rng)
  with jax.enable_x64(True):
    A = np.asarray(gaussian_map_matrix(cov_1, cov_2, epsilon=epsilon))
  np.testing.assert_allclose(A @ cov_1 @ A + epsilon / 2 * A, cov_2, atol=1e-12)
  np.testing.assert_allclose(A, A.T, atol=1e-12)
  assert np.linalg.eigvalsh(A)[0] > 0.0


def test_the_map_attains_the_distance(rng):
  cov_1, cov_2 = covariance(rng), covariance(rng)
  mean_1, mean_2 = rng.normal(size=(2, 3))
  move = gaussian_map(mean_1, cov_1, mean_2, cov_2)
  # The points mean_1 +- sqrt(d) root e_i have exactly these moments.
  root = np.sqrt(3) * np.linalg.cholesky(cov_1).T
  x = np.concatenate([mean_1 + root, mean_1 - root]).astype("f").reshape(2, 3, 3)
  y = np.asarray(move(x))
  expected = float(bures_wasserstein(mean_1, cov_1, mean_2, cov_2))
  assert np.mean(np.sum((x - y) ** 2, axis=-1)) == pytest.approx(expected, rel=1e-5)
  y = y.reshape(6, 3)
  np.testing.assert_allclose(y.mean(axis=0), mean_2, atol=1e-5)
  np.testing.assert_allclose(np.cov(y.T, bias=True), cov_2, atol=1e-5)


def test_gradients_are_finite_differences(rng):
  """Of covariances made from factors, which may be moved in any direction."""
  square = lambda a: a @ a.T
  distance = jax.jit(lambda a, b: bures(square(a), square(b)))
  matrix = jax.jit(lambda a, b, e: gaussian_map_matrix(square(a), square(b), epsilon=e))
  a, b = rng.normal(size=(2, 3, 3)) + 2.0 * np.eye(3)
  with jax.enable_x64(True):
    jax.test_util.check_grads(distance, (a, b), order=2, rtol=1e-5)
    jax.test_util.check_grads(matrix, (a, b, 0.7), order=1, rtol=1e-5)


def test_derivatives_hold_where_eigenvalues_repeat():
  """At C_1 = C_2 = I the distance is the quadratic form |dC|^2 / 4."""
  at_one = lambda cov: bures(cov, ONE)
  slope, hessian = jax.jit(lambda c: (jax.grad(at_one)(c), jax.hessian(at_one)(c)))(ONE)
  np.testing.assert_allclose(slope, 0.0, atol=1e-6)
  change = np.array([[1.0, 2.0, 0.0], [2.0, 3.0, 1.0], [0.0, 1.0, -1.0]], "f")
  second = np.einsum("ij,ijkl,kl", change, hessian, change)
  assert second == pytest.approx(np.sum(change**2) / 2, rel=1e-5)


def test_the_root_has_two_derivatives_where_eigenvalues_repeat():
  half = lambda a: covariance_root(a + a.T)
  with jax.enable_x64(True):
    one = np.eye(3)
    jax.test_util.check_grads(jax.jit(half), (one,), order=2, rtol=1e-5)


def test_the_equation_of_lyapunov(rng):
  M, R = covariance(rng), rng.normal(size=(3, 3))
  with jax.enable_x64(True):
    X = lyapunov(jnp.asarray(M), jnp.asarray(R))
  np.testing.assert_allclose(X, scipy.linalg.solve_continuous_lyapunov(M, R), rtol=1e-9)


def test_singular_covariances_have_finite_gradients():
  line, plane, none = (
    jnp.diag(jnp.array(v)) for v in ([1.0, 0, 0], [4.0, 1, 0], [0.0] * 3)
  )
  both = jax.jit(jax.value_and_grad(bures, (0, 1)))
  for cov_1, cov_2, expected in [
    (line, line, 0.0),
    (line, plane, 2.0),
    (plane, ONE, 2.0),
    (none, ONE, 3.0),
    (none, none, 0.0),
  ]:
    value, slopes = both(cov_1, cov_2)
    assert value == pytest.approx(expected, abs=1e-6)
    # Where it is finite, 1 - sigma_2 / sigma_1; elsewhere the pseudo-inverse's 1.
    s_1, s_2 = np.sqrt(np.diag(cov_1)), np.sqrt(np.diag(cov_2))
    ratio = np.where(s_1 * s_2 > 0, s_2 / np.where(s_1 > 0, s_1, 1.0), 0.0)
    np.testing.assert_allclose(slopes[0], np.diag(1 - ratio), atol=1e-5)
    assert np.isfinite(slopes[1]).all()


def test_rounding_is_no_direction_to_invert(rng):
  """A plane, turned: in float32 its third eigenvalue is 1e-7, of either sign."""
  turn = scipy.linalg.qr(rng.normal(size=(3, 3)))[0]
  turned = lambda values: (turn @ np.diag(values) @ turn.T).astype("f")
  plane = turned([1.0, 2.0, 0.0])
  slope = jax.jit(jax.grad(bures))(plane, ONE)
  np.testing.assert_allclose(slope, turned([0.0, 1 - 0.5**0.5, 1.0]), atol=1e-5)
  assert np.isfinite(jax.jit(jax.hessian(bures))(plane, ONE)).all()


def test_the_root_of_a_singular_covariance_has_the_slope_of_its_support():
  """d tr C^1/2 is tr(C^-1/2 dC) / 2, and zero where there is no inverse."""
  cov = jnp.diag(jnp.array([4.0, 1.0, 0.0]))
  slope = jax.jit(jax.grad(lambda cov: jnp.trace(covariance_root(cov))))(cov)
  np.testing.assert_allclose(slope, np.diag([0.25, 0.5, 0.0]), atol=1e-6)


def test_many_gaussians_at_once(rng):
  covs = np.stack([covariance(rng) for _ in range(4)]).astype("f")
  together = jax.jit(jax.vmap(jax.grad(bures)))(covs[:2], covs[2:])
  one_by_one = [jax.grad(bures)(*pair) for pair in zip(covs[:2], covs[2:], strict=True)]
  np.testing.assert_allclose(together, one_by_one, atol=1e-4)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_halves_are_taken_as_float32(rng, dtype):
  """A plane, turned: rounded to halves its third eigenvalue may be below 0."""
  turn = scipy.linalg.qr(rng.normal(size=(3, 3)))[0]
  plane = jnp.asarray(turn @ np.diag([1.0, 2.0, 0.0]) @ turn.T, dtype)
  mean = jnp.zeros(3, dtype)
  whole = bures_wasserstein(mean, plane, mean, ONE.astype(dtype))
  assert whole.dtype == jnp.float32
  assert whole == bures(plane.astype(jnp.float32), ONE)
  assert whole == pytest.approx((2**0.5 - 1) ** 2 + 1, abs=0.1)


def test_bad_input_is_refused():
  one, mean = np.eye(2), np.zeros(2)
  for arguments, message in [
    ((mean, one, mean, np.eye(3)), "differ"),
    ((np.zeros(3), one, mean, one), "differ"),
    ((mean, one[:1], mean, one), "shape"),
    ((mean, [[1.0, 0.5], [0.0, 1.0]], mean, one), "symmetric"),
    ((mean, one, mean, -one), "negative eigenvalue"),
    ((mean, one * np.nan, mean, one), "finite"),
    ((mean + np.inf, one, mean, one), "finite"),
  ]:
    with pytest.raises(ValueError, match=message):
      bures_wasserstein(*arguments)
  with pytest.raises(ValueError, match="epsilon"):
    gaussian_map_matrix(one, one, epsilon=-1.0)
