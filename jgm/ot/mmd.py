"""The squared maximum mean discrepancy of two weighted clouds, as a loss."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jgm.ot.points import centred, check_clouds
from jgm.ot.weights import check_weights, is_known

Array = jax.Array
# ([n, d], [m, d]) -> [n, m], positive definite, at least conditionally
Kernel = Callable[[Array, Array], Array]


def squared_mmd(
  x: ArrayLike,
  y: ArrayLike,
  a: ArrayLike | None = None,
  b: ArrayLike | None = None,
  *,
  kernel: Kernel,
  unbiased: bool = True,
  block_size: int | None = 1024,
) -> Array:
  """E k(X, X') + E k(Y, Y') - 2 E k(X, Y) between two weighted clouds.

  Args:
    x: [n, d] float.
    y: [m, d] float.
    a: [n] weights >= 0 with sum 1; None: 1 / n each.
    b: [m] likewise.
    kernel: ([n, d], [m, d]) -> [n, m], that depends on differences only, for the clouds
      are centred first. `gaussian_kernel` makes one.
    unbiased: whether a point's pair with itself is left out, and the weights of the
      others scaled to sum 1; each cloud then needs 2 points of some weight.
    block_size: how many rows of the kernel matrix exist at a time, also in the
      gradient, which computes them again; None: all of them.

  Returns:
    [] float. Biased, it is >= 0, and zero for equal clouds; unbiased, its expectation
    is zero iff the distributions agree (for a characteristic kernel) and it is below
    zero about half of the time when they do. Property: of quadrature nodes of two
    Gaussians, it is their closed form.

  Raises:
    ValueError: if a shape does not match, known points or weights are bad, block_size
      is less than 1, or if unbiased a cloud has fewer than 2 points or all weight on
      one.

  Reference: Gretton et al. 2012, eqs. 3 and 5. https://jmlr.org/papers/v13/gretton12a.html
  """
  x, y = check_clouds(x, y)
  a = check_weights(a, len(x), "a", x.dtype)
  b = check_weights(b, len(y), "b", x.dtype)
  if block_size is not None and block_size < 1:
    raise ValueError(f"block_size must be at least 1 row: {block_size}")
  if unbiased:
    _check_several(a, "a")
    _check_several(b, "b")
  x, y = centred(x, y)
  return (
    _mean_of_pairs(x, a, kernel, unbiased, block_size)
    + _mean_of_pairs(y, b, kernel, unbiased, block_size)
    - 2.0 * _weighted_sum(x, a, y, b, kernel, block_size, keep_diagonal=True)
  )


def _check_several(a: Array, name: str) -> None:
  if len(a) < 2:
    raise ValueError(f"unbiased, 2 points or more are needed in each cloud ({name})")
  if is_known(a) and np.count_nonzero(np.asarray(a)) < 2:
    raise ValueError(f"unbiased, {name} must not lie all on one point")


def _mean_of_pairs(
  x: Array, a: Array, kernel: Kernel, unbiased: bool, block_size: int | None
) -> Array:
  """E k(X, X'), of independent or of different points."""
  total = _weighted_sum(x, a, x, a, kernel, block_size, keep_diagonal=not unbiased)
  return total / (1.0 - jnp.sum(a**2)) if unbiased else total


def _weighted_sum(
  x: Array,
  a: Array,
  y: Array,
  b: Array,
  kernel: Kernel,
  block_size: int | None,
  *,
  keep_diagonal: bool,
) -> Array:
  """The sum of a_i b_j k(x_i, y_j), a block of rows at a time."""
  n, columns = len(x), jnp.arange(len(y))

  def of_rows(rows: tuple[Array, Array, Array]) -> Array:
    x, a, index = rows
    gram = kernel(x, y)
    if not keep_diagonal:
      gram = jnp.where(index[:, None] == columns[None, :], 0.0, gram)
    return jnp.vdot(a, jnp.matmul(gram, b, precision=jax.lax.Precision.HIGHEST))

  if block_size is None or block_size >= n:
    return of_rows((x, a, jnp.arange(n)))
  # The last block is filled up with rows of no weight, of a point that there is.
  index = jnp.arange(-(-n // block_size) * block_size).reshape(-1, block_size)
  source = jnp.minimum(index, n - 1)
  blocks = (x[source], jnp.where(index < n, a[source], 0.0), index)
  # Without it, the gradient would keep every block: the whole matrix after all.
  return jnp.sum(jax.lax.map(jax.checkpoint(of_rows), blocks))
