"""What each kind of score matching costs and finds, as the dimension grows.

It is asked of Gaussians, whose score is known in any dimension. Each loss trains the
same network for the same number of steps on the same data.
"""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from numpy.typing import NDArray

from jgm.core.experiment import Scalar
from jgm.core.state import Array
from jgm.eval.line_plot import line_plot

# (score, x_t [B, D], (eps [B, D], sigma []), key) -> [B], where x_t = x_0 + sigma eps
Noise = tuple[Array, Array]
Loss = Callable[[Callable[[Array], Array], Array, Noise, Array], Array]

CORRELATION = 0.5  # of neighbouring coordinates
NUM_CALLS = 10  # of which all but the first, that compiles, are timed
NUM_TEST = 2000
NUM_STEPS, BATCH_SIZE = 500, 64  # of each training; so many steps are ten equal calls


class Measured(NamedTuple):
  """One loss in one dimension."""

  loss: str
  dimension: int
  error: float  # E ||s - grad log p||^2 / E ||grad log p||^2: 1 for s = 0
  milliseconds: float  # of a training step, the least over calls


class ScoreByDimension(NamedTuple):
  """The comparison as an evaluation shows it; measured at the first call of either."""

  scalars: Callable[[], dict[str, Scalar]]
  pictures: Callable[[], dict[str, NDArray[np.uint8]]]


def make_score_by_dimension(
  losses: Mapping[str, Loss],
  model: nn.Module,
  dimensions: Sequence[int],
  *,
  sigma: float,
) -> ScoreByDimension:
  """The comparison of losses on Gaussians. Building it computes nothing.

  Args:
    losses: by name; the last one, the cheapest, is the floor of the time.
    model: x [B, D] -> [B, D], for any D.
    dimensions: the D, in rising order; () compares nothing.
    sigma: of the noise.

  Returns:
    ScoreByDimension. Its numbers are those of the largest dimension.

  Raises:
    ValueError: if a dimension is less than 2.
  """
  if any(dimension < 2 for dimension in dimensions):
    raise ValueError(f"config.eval.dimensions={tuple(dimensions)}: 2 is the least")

  @functools.cache
  def rows() -> list[Measured]:
    return [
      measure(name, loss, model, dimension, sigma)
      for dimension in dimensions
      for name, loss in losses.items()
    ]

  note = f"N(0, S) with neighbours correlated by {CORRELATION}; {NUM_STEPS} steps"

  def scalars() -> dict[str, Scalar]:
    last = rows()[-len(losses) :] if dimensions else []
    found = {}
    for row in last:
      words = f"{row.loss}; {note}; ceiling: s = 0"
      name = f"error_in_{row.dimension}d_{row.loss}"
      found[name] = Scalar(row.error, 0.0, 1.0, "lower", words)
    for row in last:
      words = f"a step of {BATCH_SIZE} examples; floor: {last[-1].loss}"
      name, floor = f"ms_in_{row.dimension}d_{row.loss}", last[-1].milliseconds
      found[name] = Scalar(row.milliseconds, floor, None, "lower", words)
    return found

  def pictures() -> dict[str, NDArray[np.uint8]]:
    if not dimensions:
      return {}
    draw = functools.partial(by_loss, rows(), list(losses))
    return {
      "error by dimension": draw(
        "error",
        y_label="squared error of the score, as a share of the score's square",
        title=f"After {NUM_STEPS:,} steps, with noise of sigma = {sigma:g}",
        floor=1.0,
        floor_label="s = 0",
      ),
      "time by dimension": draw(
        "milliseconds",
        y_label="milliseconds",
        title=f"A training step of {BATCH_SIZE} examples",
      ),
    }

  return ScoreByDimension(scalars, pictures)


def by_loss(
  rows: Sequence[Measured], losses: Sequence[str], quantity: str, **words
) -> NDArray[np.uint8]:
  """A quantity against the dimension, a line for each loss."""
  series = {}
  for name in losses:
    own = [row for row in rows if row.loss == name]
    x, y = [row.dimension for row in own], [getattr(row, quantity) for row in own]
    series[name] = (x, y)
  return line_plot(series, x_label="dimension", log_x=True, log_y=True, **words)


def measure(
  name: str, loss: Loss, model: nn.Module, dimension: int, sigma: float
) -> Measured:
  """Trains on one Gaussian by one loss, and compares with its score."""
  covariance = gaussian_covariance(dimension)
  factor = jnp.asarray(np.linalg.cholesky(covariance).T, jnp.float32)
  tx = optax.adam(optax.cosine_decay_schedule(3e-3, NUM_STEPS))
  key_init, key_train, key_test = jax.random.split(jax.random.key(0), 3)

  def draw(key: Array, n: int) -> tuple[Array, Array]:
    key_x, key_eps = jax.random.split(key)
    eps = jax.random.normal(key_eps, (n, dimension))
    return jax.random.normal(key_x, (n, dimension)) @ factor + sigma * eps, eps

  def score(params, x_t: Array) -> Any:
    return model.apply(params, x_t)

  def objective(params, key: Array) -> Array:
    key_data, key_loss = jax.random.split(key)
    x_t, eps = draw(key_data, BATCH_SIZE)
    return jnp.mean(
      loss(functools.partial(score, params), x_t, (eps, jnp.float32(sigma)), key_loss)
    )

  def step(carry, index: Array):
    params, opt_state = carry
    grads = jax.grad(objective)(params, jax.random.fold_in(key_train, index))
    updates, opt_state = tx.update(grads, opt_state, params)
    return (optax.apply_updates(params, updates), opt_state), None

  run = jax.jit(lambda carry, indices: jax.lax.scan(step, carry, indices)[0])
  params = model.init(key_init, jnp.zeros((1, dimension)))
  carry, seconds = (params, tx.init(params)), []
  per_call = NUM_STEPS // NUM_CALLS
  for call in range(NUM_CALLS):
    begin = time.perf_counter()
    indices = call * per_call + jnp.arange(per_call)
    carry = jax.block_until_ready(run(carry, indices))
    seconds.append(time.perf_counter() - begin)
  x_t, _ = draw(key_test, NUM_TEST)
  error = relative_error(score(carry[0], x_t), x_t, covariance, sigma)
  # The least: whatever else the machine does can only add to it.
  return Measured(name, dimension, error, 1000 * min(seconds[1:]) / per_call)


def gaussian_covariance(dimension: int) -> NDArray[np.float64]:
  """[D, D], which falls off by half from one coordinate to the next.

  Not diagonal: of a diagonal Jacobian one random direction tells the whole trace.
  """
  index = np.arange(dimension)
  return CORRELATION ** np.abs(index[:, None] - index[None]).astype(np.float64)


def relative_error(
  score_hat: Array, x_t: Array, covariance: NDArray[np.float64], sigma: float
) -> float:
  """E ||s - grad log p||^2 / E ||grad log p||^2 at points of N(0, S + sigma^2 I)."""
  noisy = covariance + sigma**2 * np.eye(len(covariance))
  truth = -np.linalg.solve(noisy, np.asarray(x_t, np.float64).T).T
  return float(np.sum((np.asarray(score_hat) - truth) ** 2) / np.sum(truth**2))
