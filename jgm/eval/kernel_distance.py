"""The kernel distance: an unbiased squared MMD between two sets of features."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jgm.eval.frechet import as_features


class KernelDistance(NamedTuple):
  """A squared maximum mean discrepancy and how far to trust it."""

  value: float  # unbiased: below zero about half of the time when the sets are alike
  standard_error: float  # of the mean of disjoint blocks, an upper bound for `value`'s


def kernel_distance(
  features_1: ArrayLike, features_2: ArrayLike, *, num_blocks: int = 5
) -> KernelDistance:
  """Squared MMD with the kernel (a.b / D + 1)^3, unbiased, and its standard error.

  The value uses every pair. Its error is judged from disjoint blocks of the data: the
  mean of the blocks estimates the same quantity from fewer pairs, so its standard error
  is, if anything, too large for the value.

  Args:
    features_1: [N, D] float.
    features_2: [M, D] float.
    num_blocks: into how many blocks each set is cut for the standard error.

  Returns:
    KernelDistance. Its expectation is zero iff the third moments and below agree, at
    any N and M: unlike the Fréchet distance it has no bias to subtract.

  Raises:
    ValueError: if the widths differ, or a block would hold fewer than 2 features.

  Reference: Bińkowski et al. 2018, section 4. https://arxiv.org/abs/1801.01401
  """
  features_1 = as_features(features_1, "features_1")
  features_2 = as_features(features_2, "features_2")
  if num_blocks < 2 or min(len(features_1), len(features_2)) < 2 * num_blocks:
    raise ValueError(
      f"{num_blocks} blocks of 2 or more need as many pairs of features; got "
      f"{len(features_1)} and {len(features_2)}, and 2 blocks are the least"
    )
  # Shuffled, since data are often in the order of their classes.
  rng = np.random.default_rng(0)
  blocks = [
    polynomial_mmd2(features_1[rows_1], features_2[rows_2])
    for rows_1, rows_2 in zip(
      np.array_split(rng.permutation(len(features_1)), num_blocks),
      np.array_split(rng.permutation(len(features_2)), num_blocks),
      strict=True,
    )
  ]
  standard_error = np.std(blocks, ddof=1) / np.sqrt(num_blocks)
  return KernelDistance(polynomial_mmd2(features_1, features_2), float(standard_error))


def polynomial_mmd2(features_1: ArrayLike, features_2: ArrayLike) -> float:
  """The unbiased squared MMD with the kernel (a.b / D + 1)^3.

  Args:
    features_1: [N, D] float, N >= 2.
    features_2: [M, D] float, M >= 2.

  Returns:
    A float of either sign; symmetric in its arguments.

  Raises:
    ValueError: if the widths differ or a set holds fewer than 2 features.

  Reference: Gretton et al. 2012, eq. 3. https://jmlr.org/papers/v13/gretton12a.html
  """
  features_1 = as_features(features_1, "features_1")
  features_2 = as_features(features_2, "features_2")
  if features_1.shape[1] != features_2.shape[1]:
    raise ValueError(
      f"the features differ in width: {features_1.shape[1]} and {features_2.shape[1]}"
    )
  if min(len(features_1), len(features_2)) < 2:
    raise ValueError("an unbiased MMD needs 2 features or more in each set")
  kernel = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3
  return float(
    mean_of_pairs(kernel(features_1, features_1))
    + mean_of_pairs(kernel(features_2, features_2))
    - 2 * kernel(features_1, features_2).mean()
  )


def mean_of_pairs(gram: np.ndarray) -> float:
  """The mean of a square matrix [N, N] off its diagonal.

  Args:
    gram: [N, N], N >= 2.

  Returns:
    The mean of its N (N - 1) entries off the diagonal.
  """
  n = len(gram)
  return float((gram.sum() - np.trace(gram)) / (n * (n - 1)))
