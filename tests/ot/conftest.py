"""Small problems, and what is computed of them in other ways."""

import types

import numpy as np
import pytest


def clouds(n, m, d, seed=0, dtype=np.float64):
  """Two clouds that overlap, and weights that differ."""
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(n, d))
  y = 0.7 * rng.normal(size=(m, d)) + 0.5
  a, b = rng.uniform(0.5, 1.5, n), rng.uniform(0.5, 1.5, m)
  return tuple(np.asarray(v, dtype) for v in (x, y, a / a.sum(), b / b.sum()))


def squared_costs(x, y):
  return ((x[:, None] - y[None, :]) ** 2).sum(axis=-1)


def kl(p, q):
  """sum p log(p / q) - p + q, with 0 log 0 = 0."""
  logs = np.log(np.where(p > 0, p, 1.0) / np.where(p > 0, q, 1.0))
  return (p * logs - p + q).sum()


def primal(P, costs, a, b, epsilon, rho_a=None, rho_b=None):
  """What the plan minimises."""
  value = (P * costs).sum() + epsilon * kl(P, a[:, None] * b[None, :])
  value += rho_a * kl(P.sum(axis=1), a) if rho_a else 0.0
  return value + (rho_b * kl(P.sum(axis=0), b) if rho_b else 0.0)


def plan_of(result, costs, a, b):
  """The plan from the potentials, by the formula, in float64."""
  f, g = (np.asarray(v, np.float64) for v in (result.f, result.g))
  epsilon = float(result.problem.epsilon)
  return a[:, None] * b[None, :] * np.exp((f[:, None] + g[None, :] - costs) / epsilon)


@pytest.fixture
def problems():
  """What is above, for the tests of this folder."""
  return types.SimpleNamespace(
    clouds=clouds, squared_costs=squared_costs, primal=primal, plan_of=plan_of
  )
