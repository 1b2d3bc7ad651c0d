"""Advantages: how much better than expected, in the reward's unit or without one."""

import chex
import jax.numpy as jnp

from jgm.core.collectives import pmean
from jgm.core.state import Array
from jgm.losses.masked import masked_mean


def leave_one_out(returns: Array) -> Array:
  """Each return less the mean of all others: a baseline that takes no bias in.

  Args:
    returns: [B] float, independent of each other, B at least 2.

  Returns:
    [B] float. Property: the policy gradient has the mean that it has by `returns`, and
    in general less variance.

  Raises:
    ValueError: for a batch of one.

  Reference: Kool, van Hoof & Welling 2019.
    https://openreview.net/forum?id=r1lgTGL5DE
  """
  chex.assert_rank(returns, 1)
  n = len(returns)
  if n < 2:
    raise ValueError(
      "the baseline of a completion is the mean of the batch's others, and a batch of "
      "one has none: config.data.batch_size is at least 2, on each device of pmap"
    )
  return (returns - jnp.mean(returns)) * (n / (n - 1))


def standardised(advantages: Array, mask: Array) -> Array:
  """Advantages with mean 0 and standard deviation 1 over the batch's real tokens.

  Args:
    advantages: [B, N] float.
    mask: [B, N] float.

  Returns:
    [B, N] float; the same scale on all replicas. Property: changing the rewards' unit
    changes nothing.

  Reference: Andrychowicz et al. 2021. https://arxiv.org/abs/2006.05990
  """
  centred = advantages - pmean(masked_mean(advantages, mask))
  variance = pmean(masked_mean(jnp.square(centred), mask))
  return centred / jnp.sqrt(variance + 1e-8)
