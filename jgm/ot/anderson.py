"""Anderson acceleration of a fixed-point iteration: a few last steps, well combined."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array

# Of the Gram matrix, relative to its trace: in float32 its last digits are rounding.
REGULARISATION = 1e-6


class History(NamedTuple):
  """What the last steps changed; rows of zeros count for nothing."""

  residuals: Array  # [M, m] differences of T(g) - g
  images: Array  # [M, m] differences of T(g)
  last_residual: Array  # [m]
  last_image: Array  # [m]
  seen: Array  # [] int32, points


def no_history(like: Array, memory: int) -> History:
  """A history without steps.

  Args:
    like: [m], what is iterated.
    memory: M, how many differences are remembered.

  Returns:
    A History.
  """
  none, nothing = jnp.zeros((memory, len(like)), like.dtype), jnp.zeros_like(like)
  return History(none, none, nothing, nothing, jnp.zeros((), jnp.int32))


def anderson_step(
  history: History, g: Array, image: Array, weights: Array
) -> tuple[Array, History]:
  """The next point: the affine combination of images whose residual is least.

  Args:
    history: of the points before this one.
    g: [m], the point.
    image: [m], T(g), whose fixed point is sought.
    weights: [m] >= 0, of the squares that make up a residual's size.

  Returns:
    The next point [m], and the history with this one. Without a history that is T(g).
    Property: exact after as many steps as T has distinct eigenvalues, if T is affine.

  Reference: Walker & Ni 2011, "Anderson acceleration for fixed-point iterations", eq.
  2.2. https://doi.org/10.1137/10078356X
  """
  residual = image - g
  memory = len(history.residuals)
  slot = jnp.remainder(history.seen - 1, memory)  # of the difference to the last point

  def put(rows: Array, difference: Array) -> Array:
    difference = jnp.where(history.seen > 0, difference, 0.0)
    return rows.at[slot].set(difference)

  residuals = put(history.residuals, residual - history.last_residual)
  images = put(history.images, image - history.last_image)
  weighted = residuals * weights[None, :]
  gram = jnp.matmul(weighted, residuals.T, precision=jax.lax.Precision.HIGHEST)
  scale = jnp.trace(gram)
  # A matrix of zeros is made regular, too: its combination is then none.
  ridge = jnp.where(scale > 0, REGULARISATION * scale, 1.0)
  right = jnp.matmul(weighted, residual, precision=jax.lax.Precision.HIGHEST)
  mixture = solve_positive(gram + ridge * jnp.eye(memory, dtype=g.dtype), right)
  new = History(residuals, images, residual, image, history.seen + 1)
  return image - mixture @ images, new


def solve_positive(matrix: Array, right: Array) -> Array:
  """The solution of a small positive definite system, in a handful of fused operations.

  Args:
    matrix: [M, M] positive definite.
    right: [M].

  Returns:
    [M]. By the elimination of one unknown after another, written out: a call of a
    library takes longer than a whole step of a small problem.
  """
  rows = jnp.concatenate([matrix, right[:, None]], axis=1)
  for k in range(len(matrix)):
    pivot = rows[k] / rows[k, k]
    rows = (rows - rows[:, k][:, None] * pivot[None, :]).at[k].set(pivot)
  return rows[:, -1]
