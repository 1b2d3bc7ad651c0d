"""How far a prediction is from its target: all are (output, target) -> [B].

A config names one of these functions; a new one can be named as soon as it is here.
"""

import chex
import jax
import jax.numpy as jnp

Array = jax.Array


def squared_error(output: Array, target: Array) -> Array:
  """The squared error of a prediction, per example, averaged over its dimensions.

  With eps as the target this is the "simple" loss of DDPM, up to the factor 1 / D.

  Args:
    output: [B, ...] float. What the network predicts.
    target: [B, ...] float. What it should have: `jgm.noise.target`.

  Returns:
    [B] float >= 0, zero iff the prediction is right; the mean over all axes but the
    first. Weigh it by a function of t [B] for any other diffusion loss.

  Reference: Ho, Jain, Abbeel 2020, eq. 14. https://arxiv.org/abs/2006.11239
  """
  chex.assert_equal_shape([output, target])
  return jnp.mean(jnp.square(output - target), axis=range(1, output.ndim))
