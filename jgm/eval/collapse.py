"""A collapse seen while it happens: cheap numbers of one batch, inside the step."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jgm.core.state import Array
from jgm.data.gaussian_mixture import GaussianMixture
from jgm.eval.modes import LEAST_SHARE, REACH


def modes_reached(samples: Array, mixture: GaussianMixture) -> Array:
  """How many modes of a mixture a batch of samples reaches.

  A mode is reached by a third of its share of the batch, or more, within three standard
  deviations of it. Where few are expected of each, some are missed by chance: exact
  samples reach a mode of which 20 are expected 99.97 times of 100, one of which 4 are
  expected 91 times.

  Args:
    samples: [B, D] float. What is not finite reaches nothing.
    mixture: what they are to resemble, not traced; `jgm.data.toys.exact_mixture`.

  Returns:
    [] float32 in 0 .. K, with no gradient. Property: it is `covered` of
    `jgm.eval.modes.mode_coverage` for the same samples.
  """
  chex.assert_shape(samples, (None, mixture.means.shape[1]))
  samples = jax.lax.stop_gradient(samples).astype(jnp.float32)
  difference = samples[:, None] - jnp.asarray(mixture.means)[None]
  distance = jnp.linalg.norm(difference, axis=2)  # [B, K]
  nearest = jax.nn.one_hot(jnp.argmin(distance, axis=1), len(mixture.means))
  good = jnp.min(distance, axis=1) <= REACH * mixture.scale
  counts = jnp.sum(nearest * good[:, None], axis=0)
  return jnp.sum(counts >= least_counts(mixture, len(samples)), dtype=jnp.float32)


def least_counts(mixture: GaussianMixture, n: int) -> np.ndarray:
  """The fewest of n samples that reach each mode: [K] float32."""
  # Counts and not shares are compared in the step: in float32 a third of a share may
  # round to the wrong side of a count's share.
  weights = np.asarray(mixture.weights, np.float64)
  enough = np.arange(n + 1)[:, None] / n >= LEAST_SHARE * weights
  return enough.argmax(axis=0).astype(np.float32)


def diversity(samples: Array, real: Array) -> Array:
  """How varied samples are: their distances to each other over those of real examples.

  It costs B distances: each example is compared with the next one of its batch, the
  last with the first, so examples must be in no order, or both batches in the same (as
  where samples are drawn for the labels of the real ones).

  Args:
    samples: [B, ...] float, B >= 2.
    real: [M, ...] float, M >= 2.

  Returns:
    [] float32, with no gradient: 0 where all samples are one, about 1 where they are as
    varied as real ones, of fresh real ones 1 on average but for terms of 1 / M.

  Raises:
    ValueError: if there are no two examples in a batch.
  """
  chex.assert_equal_shape_suffix([samples, real], samples.ndim - 1)
  if min(len(samples), len(real)) < 2:
    raise ValueError(
      f"distances need two examples or more: {len(samples)} samples, {len(real)} real"
    )
  usual = mean_distance_to_next(real)
  # Real examples that are all one have no variety to compare with.
  tiny = jnp.finfo(jnp.float32).tiny
  return mean_distance_to_next(samples) / jnp.maximum(usual, tiny)


def mean_distance_to_next(x: Array) -> Array:
  """The mean Euclidean distance of x_i [B, ...] to x_i+1, the last one's to the first.

  Returns:
    [] float32, with no gradient.
  """
  x = jax.lax.stop_gradient(x).astype(jnp.float32).reshape(len(x), -1)
  return jnp.mean(jnp.linalg.norm(x - jnp.roll(x, 1, axis=0), axis=1))
