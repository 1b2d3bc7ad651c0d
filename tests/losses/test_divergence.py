"""f-divergences, against quadrature, closed forms of Gaussians and convex duality."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.losses.divergence import F_DIVERGENCES, alpha_divergence, f_divergence_bound

ALPHAS = (-1.5, -1.0, 0.1, 0.5, 0.9, 1.1, 2.0, 3.0)
DIVERGENCES = F_DIVERGENCES | {f"alpha {a}": alpha_divergence(a) for a in ALPHAS}
EVERY = pytest.mark.parametrize("name", DIVERGENCES)
# where the conjugate ends; the others' never does
LIMITS = {
  "reverse_kl": 0.0,
  "neyman": 1.0,
  "squared_hellinger": 1.0,
  "jensen_shannon": math.log(2) / 2,
  "gan": 0.0,
  "total_variation": 0.5,
} | {f"alpha {a}": 1 / (1 - a) for a in ALPHAS if a < 1}
# below which u = 0 is best and the conjugate flat; the others have no such t
FLAT_BELOW = {"pearson": -2.0, "total_variation": -0.5} | {
  f"alpha {a}": -1 / (a - 1) for a in ALPHAS if a > 1
}
# the scores at which the activation is f'(u), of the log of u
OPTIMAL_SCORES = {
  "kl": lambda log_u: 1 + log_u,
  "reverse_kl": lambda log_u: log_u,
  "pearson": lambda log_u: 2 * np.expm1(log_u),
  "neyman": lambda log_u: 2 * log_u,
  "squared_hellinger": lambda log_u: log_u / 2,
  "jensen_shannon": lambda log_u: log_u,
  "gan": lambda log_u: log_u,
  "total_variation": lambda log_u: 50 * np.sign(log_u),
}
GRID = np.linspace(-16.0, 16.0, 6401)
U = np.geomspace(1e-5, 1e5, len(GRID))
V = np.linspace(-100.0, 100.0, len(GRID))
P, Q = (0.3, 1.0), (-0.2, 1.1)  # mean and scale


@functools.cache
def compiled(name, what, slope):
  function = getattr(DIVERGENCES[name], what)
  return jax.jit(jax.vmap(jax.grad(function)) if slope else function)


def evaluate(name, what, x, *, slope=False):
  """That function of a divergence, in float32; one shape, compiled once."""
  x = np.float32(x)
  values = compiled(name, what, slope)(np.resize(x, len(GRID)))
  return np.asarray(values, np.float64)[: len(x)]


def optimal_scores(name, log_u):
  if name in OPTIMAL_SCORES:
    return OPTIMAL_SCORES[name](log_u)
  alpha = float(name.split()[1])
  if alpha > 1:
    return np.expm1((alpha - 1) * log_u) / (alpha - 1)
  return max(1.0, 1 - alpha) * log_u


def log_density(mean, scale):
  return -0.5 * ((GRID - mean) / scale) ** 2 - np.log(scale * np.sqrt(2 * np.pi))


def mean_under(distribution, values):
  """By quadrature, in float64: the functions alone are in float32."""
  return np.sum(np.exp(log_density(*distribution)) * values) * (GRID[1] - GRID[0])


def value_of(name, p=P, q=Q):
  log_u = np.clip(log_density(*p) - log_density(*q), -80, 80)
  return mean_under(q, evaluate(name, "f", np.exp(log_u)))


def bound_of(name, scores):
  """Of a critic with these scores on the grid, by quadrature."""
  real = evaluate(name, "activation", scores)
  fake = evaluate(name, "conjugate_of_activation", scores)
  return mean_under(P, real) - mean_under(Q, fake)


def power_integral(alpha, p, q):
  """The integral of p^alpha q^(1 - alpha) of two Gaussians."""
  (mean_p, s), (mean_q, r) = p, q
  precision = alpha / s**2 + (1 - alpha) / r**2
  assert precision > 0
  exponent = alpha * (1 - alpha) * (mean_p - mean_q) ** 2 / (s * r) ** 2 / precision
  return s**-alpha * r ** (alpha - 1) * precision**-0.5 * np.exp(-0.5 * exponent)


def gaussian_kl(p, q):
  (mean_p, s), (mean_q, r) = p, q
  return np.log(r / s) + (s**2 + (mean_p - mean_q) ** 2) / (2 * r**2) - 0.5


CLOSED_FORMS = {
  "kl": gaussian_kl(P, Q),
  "reverse_kl": gaussian_kl(Q, P),
  "pearson": power_integral(2, P, Q) - 1,
  "neyman": power_integral(-1, P, Q) - 1,
  "squared_hellinger": 2 - 2 * power_integral(0.5, P, Q),
} | {f"alpha {a}": (power_integral(a, P, Q) - 1) / (a * (a - 1)) for a in ALPHAS}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_the_value_between_gaussians(name):
  np.testing.assert_allclose(value_of(name), CLOSED_FORMS[name], rtol=3e-5)


def test_total_variation_of_equal_variances():
  shift, scale = 0.9, 1.3
  actual = value_of("total_variation", (shift, scale), (0.0, scale))
  np.testing.assert_allclose(actual, math.erf(shift / scale / 8**0.5), rtol=1e-5)


@EVERY
def test_the_bound_is_tight_at_the_optimum_and_below_elsewhere(name):
  log_u = log_density(*P) - log_density(*Q)
  value, best = value_of(name), optimal_scores(name, log_u)
  np.testing.assert_allclose(bound_of(name, best), value, rtol=3e-5)
  wave = np.sin(2 * GRID)
  others = {
    "a constant": np.zeros_like(best),
    "too timid": np.clip(best, -0.1, 0.1),
    "the wrong way": np.clip(-best, -3, 3),
    "wavy": np.clip(best, -1, 1) + 0.5 * wave,
    "wild": 100 * np.sign(wave),
  }
  if name != "total_variation":  # whose best scores are these
    others["too sure"] = 100 * np.sign(log_u)
  bounds = {what: bound_of(name, scores) for what, scores in others.items()}
  assert all(bound < value - 1e-3 for bound in bounds.values()), (value, bounds)


@EVERY
def test_the_bound_of_examples_is_that_of_their_scores(name):
  real, fake = np.array([0.3, -1.0, 2.0]), np.array([-0.2, 0.7, -1.5])
  at_fake = evaluate(name, "conjugate", evaluate(name, "activation", fake))
  wanted = evaluate(name, "activation", real) - at_fake
  bound = jax.jit(lambda *scores: f_divergence_bound(DIVERGENCES[name], *scores))
  actual = bound(np.float32(real), np.float32(fake))
  np.testing.assert_allclose(actual, wanted, rtol=1e-5)


def test_scores_of_another_shape_are_refused():
  kl = F_DIVERGENCES["kl"]
  with pytest.raises(AssertionError):
    f_divergence_bound(kl, jnp.zeros((4, 1)), jnp.zeros((4, 1)))
  with pytest.raises(AssertionError):
    f_divergence_bound(kl, jnp.zeros(4), jnp.zeros(3))


@EVERY
def test_the_conjugate_is_the_largest_of_all_ratios(name):
  """No u >= 0 has a larger u t - f(u), and one has it: if need be, u = 0."""
  t = evaluate(name, "derivative", U)[1000:-1000:60]
  if name == "total_variation":
    t = np.linspace(-0.5, 0.5, 41)
  if name in FLAT_BELOW:
    t = np.append(t, FLAT_BELOW[name] - np.array([0.01, 1.0, 10.0]))
  t = np.float32(t)
  u = np.float32(np.append(U[:-1], 0.0))
  f, conjugate = evaluate(name, "f", u), evaluate(name, "conjugate", t)
  gap = f + conjugate[:, None] - u * t[:, None]
  # of the terms, each of which is rounded
  rounding = 2e-6 * (1 + np.abs(u * t[:, None]) + np.abs(conjugate)[:, None])
  assert np.all(np.isfinite(conjugate)) and np.all(gap > -rounding)
  np.testing.assert_array_less(gap.min(axis=1), 1e-4 * (1 + np.abs(conjugate)))
  if name in FLAT_BELOW:
    slope = evaluate(name, "conjugate", t, slope=True)
    np.testing.assert_array_equal(slope[-3:], 0.0)


@EVERY
def test_the_conjugate_meets_the_slope(name):
  u = np.float32(np.geomspace(0.05, 20.0, 100))  # 1 is not among them
  t = np.float32(evaluate(name, "derivative", u))
  slope = evaluate(name, "f", u, slope=True)
  np.testing.assert_allclose(t, slope, rtol=1e-4, atol=2e-5)
  terms = evaluate(name, "f", u), evaluate(name, "conjugate", t), -np.float64(u) * t
  rounding = 2e-6 * (1 + sum(np.abs(term) for term in terms))
  np.testing.assert_array_less(np.abs(sum(terms)), rounding)


@EVERY
def test_the_activation_maps_into_the_domain(name):
  t = evaluate(name, "activation", V)
  limit = LIMITS.get(name, math.inf)
  assert np.all(np.diff(t) > -1e-7) and np.all(np.isfinite(t))
  assert np.all(t <= np.float32(limit))
  assert np.all(t[np.abs(V) < 7] < limit)  # beyond, float32 cannot tell
  if name in LIMITS:
    beyond = limit + np.array([0.01, 1.0, 50.0])
    assert np.all(np.isposinf(evaluate(name, "conjugate", beyond)))
    assert np.all(np.isfinite(evaluate(name, "conjugate", beyond, slope=True)))


@EVERY
def test_the_conjugate_of_the_activation_is_their_composition(name):
  """Where the composition is representable: T is not rounded to its limit."""
  t = evaluate(name, "activation", V)
  clear = LIMITS.get(name, math.inf) - t > 1e-3 * (1 + np.abs(t))
  assert np.sum(clear) > 3000
  composed = evaluate(name, "conjugate", t)[clear]
  actual = evaluate(name, "conjugate_of_activation", V)[clear]
  np.testing.assert_allclose(actual, composed, rtol=3e-4, atol=3e-4)


@EVERY
def test_extreme_scores_have_finite_values_and_gradients(name):
  v = np.array([-1e6, -100.0, -20.0, 0.0, 20.0, 100.0, 1e6])
  for what in ("activation", "conjugate_of_activation"):
    value, slope = evaluate(name, what, v), evaluate(name, what, v, slope=True)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(slope))
    assert np.all(slope >= 0)
    # a critic that is wrong is told so; but that T is bounded on either side
    wrong = slope[1 if what == "activation" else 5]
    assert wrong > 0 or name == "total_variation"


def test_exponents_are_tamed_beyond_twenty_only():
  v = np.array([1.0, 10.0, 19.99, 21.0, 100.0])
  wanted = np.array([1.0, 10.0, 19.99, 20 + math.log(2), 20 + math.log(81)])
  close = lambda log, wanted: np.testing.assert_allclose(log, wanted, rtol=1e-5)
  close(np.log(evaluate("kl", "conjugate_of_activation", v)), wanted - 1)
  close(np.log(-evaluate("reverse_kl", "activation", -v)), wanted)
  close(np.log1p(-evaluate("neyman", "activation", -v)), wanted)
  close(np.log1p(evaluate("squared_hellinger", "conjugate_of_activation", v)), wanted)
  power = evaluate("alpha 0.9", "conjugate_of_activation", v)
  close(np.log1p(0.9 * power) / 0.9, wanted)


def test_normalisations_and_relations():
  u = np.geomspace(0.02, 50.0, 41)
  f = lambda name: evaluate(name, "f", u)
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)
  close(f("kl"), u * np.log(u))
  close(f("squared_hellinger"), 1 + u - 2 * np.sqrt(u))
  close(f("alpha 0.5"), 2 * f("squared_hellinger"))
  close(f("alpha 2.0"), f("pearson") / 2)
  close(f("alpha -1.0"), f("neyman") / 2)
  close(f("gan"), 2 * f("jensen_shannon") - math.log(2) * (u + 1))
  # p = u / (1 + u) and q = 1 / (1 + u) have the mean 1/2: the usual definition
  p, q = u / (1 + u), 1 / (1 + u)
  usual = (p * np.log(2 * p) + q * np.log(2 * q)) / 2
  close(f("jensen_shannon"), (1 + u) * usual)


def test_the_limits_of_alpha_are_kl_and_reverse_kl():
  u = np.geomspace(0.2, 5.0, 41).astype(np.float32)
  f = lambda alpha: np.asarray(alpha_divergence(alpha).f(u))
  # the terms of odd order cancel; all alphas add a multiple of u - 1 to those two
  near_kl, near_reverse = (f(0.99) + f(1.01)) / 2, (f(-0.01) + f(0.01)) / 2
  np.testing.assert_allclose(near_kl, u * np.log(u) - (u - 1), atol=1e-3)
  np.testing.assert_allclose(near_reverse, -np.log(u) + (u - 1), atol=1e-3)


def test_the_largest_values():
  """Of distributions that hardly meet; and the one that is not 0 where they agree."""
  p, q = (-4.5, 1.0), (4.5, 1.0)
  largest = {
    "jensen_shannon": math.log(2),
    "gan": 0.0,
    "squared_hellinger": 2.0,
    "total_variation": 1.0,
  }
  for name, wanted in largest.items():
    value = value_of(name, p, q)
    np.testing.assert_allclose(value, wanted, atol=2e-4)
    assert value < wanted + 1e-6
  assert value_of("gan", P, P) == pytest.approx(-math.log(4))
  others = [value_of(name, P, P) for name in DIVERGENCES if name != "gan"]
  np.testing.assert_allclose(others, 0.0, atol=1e-6)


@pytest.mark.parametrize("alpha", [0, 1.0, math.nan, math.inf])
def test_an_alpha_without_a_divergence_is_refused(alpha):
  with pytest.raises(ValueError, match=r"reverse_kl \(0\) and kl \(1\)"):
    alpha_divergence(alpha)
