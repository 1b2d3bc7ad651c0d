"""A dense layer of tokens whose gradient is fast on a CPU."""

import jax
from einops import rearrange
from flax import linen as nn

Array = jax.Array


class TokenDense(nn.Dense):
  """`flax.linen.Dense` of [B, T, D], as one matrix of B T rows.

  With two leading axes XLA sums the kernel's gradient over both, and on a CPU a
  Transformer's block then takes twice as long. Property: Dense's result and parameters.
  """

  def __call__(self, inputs: Array) -> Array:
    """Inputs [B, T, D] give [B, T, features]."""
    flat = super().__call__(rearrange(inputs, "b t d -> (b t) d"))
    return rearrange(flat, "(b t) d -> b t d", b=inputs.shape[0])
