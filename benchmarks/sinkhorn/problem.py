"""The points that all solve for, and what judges them all: float64, NumPy only.

The peers' environments have no jgm, so nothing here needs it.
"""

import numpy as np

BLOCK = 2**23  # of the plan's entries at once: 64 MiB


def clouds(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
  """Two clouds of n equal weights: a Gaussian, and a narrower one a unit away.

  Returns:
    x [n, d], y [n, d], float32.
  """
  random = np.random.default_rng(seed)
  x = random.standard_normal((n, d))
  y = 0.7 * random.standard_normal((n, d)) + d**-0.5
  return x.astype(np.float32), y.astype(np.float32)


def mean_cost(x: np.ndarray, y: np.ndarray) -> float:
  """The mean of |x_i - y_j|^2."""
  x, y = x.astype(np.float64), y.astype(np.float64)
  squares = (x**2).sum(1).mean() + (y**2).sum(1).mean()
  return float(squares - 2 * x.mean(0) @ y.mean(0))


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """|x_i - y_j|^2 in float64, from points centred on y's mean."""
  centre = y.astype(np.float64).mean(0)
  x, y = x - centre, y - centre
  return (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T


def marginal_error(
  x: np.ndarray, y: np.ndarray, f: np.ndarray, g: np.ndarray, epsilon: float
) -> float:
  """The L1 error of both marginals of P = exp((f + g - C) / epsilon) / (n m), summed.

  Args:
    x: points [n, d].
    y: points [m, d].
    f: potentials [n] in jgm's convention.
    g: potentials [m].
    epsilon: the regularisation.

  Returns:
    The error; NaN or infinite where the potentials are.
  """
  n, m = len(x), len(y)
  f, g = f.astype(np.float64), g.astype(np.float64)
  rows, columns, step = np.empty(n), np.zeros(m), max(1, BLOCK // m)
  with np.errstate(over="ignore", invalid="ignore"):
    for i in range(0, n, step):
      block = f[i : i + step, None] + g - squared_distances(x[i : i + step], y)
      block = np.exp(block / epsilon) / (n * m)
      rows[i : i + step] = block.sum(1)
      columns += block.sum(0)
  return float(abs(rows - 1 / n).sum() + abs(columns - 1 / m).sum())


def divergence_gradient(x: np.ndarray, y: np.ndarray, epsilon: float) -> np.ndarray:
  """The gradient in x of the Sinkhorn divergence, converged in float64: [n, d].

  The envelope theorem: d OT(x, y) / d x_i = sum_j P_ij 2 (x_i - y_j).
  """
  x, y = x.astype(np.float64), y.astype(np.float64)
  # OT(x, x) moves with both its arguments, so its half is one of them
  return _cost_gradient(x, y, epsilon) - _cost_gradient(x, x, epsilon)


def _cost_gradient(x: np.ndarray, y: np.ndarray, epsilon: float) -> np.ndarray:
  n, m = len(x), len(y)
  kernel = np.exp(-squared_distances(x, y) / epsilon)
  v = np.ones(m)
  for _ in range(20_000):
    u = 1 / (n * (kernel @ v))
    sums = kernel.T @ u
    if abs(v * sums - 1 / m).sum() < 1e-9:
      break
    v = 1 / (m * sums)
  else:
    raise RuntimeError("the float64 reference did not converge")
  return 2 * u[:, None] * ((kernel @ v)[:, None] * x - kernel @ (v[:, None] * y))
