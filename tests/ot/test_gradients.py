"""Derivatives of what the solver returns, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import ot

EPSILON = 0.1


@pytest.fixture(autouse=True)
def float64():
  with jax.enable_x64(True):
    yield


def solve(x, y, a, b, **how):
  return ot.sinkhorn(x, y, a, b, epsilon=EPSILON, tolerance=1e-12, **how)


def unrolled(x, y, a, b, iterations=400):
  """The textbook's iterations, differentiated through each of them."""
  costs = jnp.sum((x[:, None] - y[None, :]) ** 2, axis=-1)

  def iteration(potentials, _):
    _, g = potentials
    f = -EPSILON * jax.nn.logsumexp((g[None] - costs) / EPSILON, 1, b=b[None])
    g = -EPSILON * jax.nn.logsumexp((f[:, None] - costs) / EPSILON, 0, b=a[:, None])
    return (f, g), None

  start = jnp.zeros_like(a), jnp.zeros_like(b)
  (f, g), _ = jax.lax.scan(iteration, start, length=iterations)
  ratios = jnp.exp((f[:, None] + g[None] - costs) / EPSILON)
  return f, g, jnp.sum(a[:, None] * b[None] * ratios * costs)


def losses(kind):
  """(x, y, a, b) -> [], of the solver's results and of the textbook's."""
  centred = lambda f, weights: f - weights @ f

  def of_potentials(f, g, a, b):
    return jnp.sum(centred(f, a) ** 3) + jnp.sum(jnp.cos(centred(g, b)))

  def ours(x, y, a, b, **how):
    found = solve(x, y, a, b, **how)
    return {
      "dual": found.dual_cost,
      "transport": found.transport_cost,
      "potentials": of_potentials(found.f, found.g, a, b),
      "map": jnp.sum(jnp.sin(ot.barycentric_map(found))),
    }[kind]

  def textbook(x, y, a, b):
    f, g, transport = unrolled(x, y, a, b)
    costs = jnp.sum((x[:, None] - y[None, :]) ** 2, axis=-1)
    shares = b[None] * jnp.exp((f[:, None] + g[None] - costs) / EPSILON)
    target = shares @ y / jnp.sum(shares, axis=1, keepdims=True)
    return {
      "dual": a @ f + b @ g,
      "transport": transport,
      "potentials": of_potentials(f, g, a, b),
      "map": jnp.sum(jnp.sin(target)),
    }[kind]

  return ours, textbook


@pytest.mark.parametrize("mode", ["kernel", "online"])
@pytest.mark.parametrize("kind", ["dual", "transport", "potentials", "map"])
def test_they_are_those_of_unrolling(problems, kind, mode):
  given = problems.clouds(6, 5, 2)
  ours, textbook = losses(kind)
  how = {"mode": mode, "block_size": 4}
  found = jax.grad(lambda *given: ours(*given, **how), argnums=(0, 1, 2, 3))(*given)
  wanted = jax.jit(jax.grad(textbook, argnums=(0, 1, 2, 3)))(*given)
  for i in (0, 1):
    np.testing.assert_allclose(found[i], wanted[i], atol=1e-7)
  for i in (2, 3):  # weights move with their sum held: a constant is free
    np.testing.assert_allclose(
      found[i] - found[i].mean(), wanted[i] - wanted[i].mean(), atol=1e-7
    )


@pytest.mark.parametrize("which", ["points", "relaxed", "matrix", "itself"])
def test_they_are_finite_differences(problems, which):
  """Along a direction of everything that there is: epsilon and rho among it."""
  x, y, a, b = problems.clouds(7, 5, 2)
  rng = np.random.default_rng(1)
  d_x, d_a = rng.normal(size=x.shape), rng.normal(size=a.shape)
  d_a -= d_a.mean()
  costs = problems.squared_costs(x, y)
  d_costs = rng.normal(size=costs.shape)

  @jax.jit
  def loss(step):
    how = {"epsilon": EPSILON * (1 + step), "tolerance": 1e-12}
    moved, weights = x + step * d_x, a + step * d_a
    if which == "itself":
      found = ot.sinkhorn_with_itself(moved, weights, **how)
    elif which == "matrix":
      found = ot.sinkhorn_on_matrix(costs + step * d_costs, weights, b, **how)
    else:
      rho = 0.7 + step if which == "relaxed" else None
      found = ot.sinkhorn(moved, y, weights, b, rho_a=rho, **how)
    return jnp.array(
      [found.dual_cost, found.transport_cost, jnp.sum(found.f**3) + found.g[0]]
    )

  h = 1e-5
  _, slope = jax.jvp(loss, (0.0,), (1.0,))
  np.testing.assert_allclose(slope, (loss(h) - loss(-h)) / (2 * h), rtol=2e-6)


@pytest.mark.parametrize("kind", ["dual", "potentials"])
def test_second_derivatives(problems, kind):
  x, y, a, b = problems.clouds(5, 4, 2)
  d_x = np.random.default_rng(1).normal(size=x.shape)
  ours, _ = losses(kind)
  slope = jax.jit(jax.grad(lambda x: ours(x, y, a, b)))
  _, curvature = jax.jvp(slope, (x,), (d_x,))
  h = 1e-5
  differences = (slope(x + h * d_x) - slope(x - h * d_x)) / (2 * h)
  np.testing.assert_allclose(curvature, differences, atol=1e-7)


def test_the_cost_needs_no_linear_solve(problems):
  """Its gradient is the envelope theorem's; that of the potentials solves a system."""
  x, y, a, b = problems.clouds(5, 4, 2)

  def solves(loss):
    program = jax.jit(jax.grad(loss)).lower(x).compiler_ir("hlo").as_hlo_text()
    return program.count(" while(")

  cost = solves(lambda x: solve(x, y, a, b).dual_cost)
  none = solves(lambda x: jnp.sum(x) * jax.lax.stop_gradient(solve(x, y, a, b).f[0]))
  potentials = solves(lambda x: solve(x, y, a, b).f[0])
  assert cost == none < potentials


def test_divergence_between_gaussians(problems):
  """Value and gradient in the mean, beside the closed form, on Gauss-Hermite nodes."""
  nodes, weights = np.polynomial.hermite_e.hermegauss(40)
  weights = weights / weights.sum()

  def ours(mean):
    x = (mean + 0.8 * nodes)[:, None]
    return ot.sinkhorn_divergence(
      x, nodes[:, None], weights, weights, epsilon=0.5, tolerance=1e-11
    ).value

  def closed(mean):
    return ot.entropic_gaussian_divergence(
      jnp.full(1, mean), 0.64 * jnp.eye(1), jnp.zeros(1), jnp.eye(1), epsilon=0.5
    )

  found, slope = jax.value_and_grad(ours)(0.7)
  wanted, wanted_slope = jax.value_and_grad(closed)(0.7)
  np.testing.assert_allclose(found, wanted, rtol=1e-7)
  np.testing.assert_allclose(slope, wanted_slope, rtol=1e-6)
