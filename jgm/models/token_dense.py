"""A dense layer of tokens whose gradient is fast on a CPU."""

from typing import Any

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn

Array = jax.Array


class TokenDense(nn.Module):
  """`flax.linen.Dense` of [B, T, D], as one matrix of B T rows.

  With two leading axes XLA sums the gradients over both, and on a CPU a Transformer's
  block then takes twice as long. Property: Dense's result and parameters.
  """

  features: int
  kernel_init: Any = nn.initializers.lecun_normal()
  bias_init: Any = nn.initializers.zeros
  dtype: Any = None  # of the computation; parameters are float32. None: as the inputs

  @nn.compact
  def __call__(self, inputs: Array) -> Array:
    """Inputs [B, T, D] give [B, T, features]."""
    shape = (inputs.shape[-1], self.features)
    kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
    bias = self.param("bias", self.bias_init, shape[1:], jnp.float32)
    inputs, kernel, bias = nn.dtypes.promote_dtype(
      inputs, kernel, bias, dtype=self.dtype
    )
    flat = rearrange(inputs, "b t d -> (b t) d")
    if len(flat) > shape[0] > shape[1]:  # not in decoding, where it would not pay
      # The gradient of a tall matrix is computed as a wide one, in half the time.
      kernel = jax.lax.optimization_barrier(kernel.T).T
    # The bias by a product, since the gradient of that is one; XLA would make the sum
    # over tokens one over B and T again.
    spread = jnp.ones((len(flat), 1), bias.dtype) @ bias[None]
    return rearrange(flat @ kernel + spread, "(b t) d -> b t d", b=inputs.shape[0])
