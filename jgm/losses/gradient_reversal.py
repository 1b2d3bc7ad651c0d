"""The gradient reversal layer: the identity, whose gradient comes back reversed."""

import jax

Array = jax.Array


@jax.custom_jvp
def reverse_gradient(x: Array, scale: float | Array) -> Array:
  """`x` itself; what is minimised by what follows is maximised by what comes before.

  A network after it learns as usual. To the network before it, each derivative of the
  loss is -scale times the true one: both are trained by one gradient step on one loss.

  Args:
    x: float array of any shape.
    scale: [], the paper's lambda. At 0 nothing is told to the network before; -1 is
      the plain identity. It gets no gradient.

  Returns:
    `x`, to the bit. Property: the derivative is -scale times the identity, in forward
    and reverse mode.

  Reference: Ganin et al. 2016, section 4.2. https://arxiv.org/abs/1505.07818
  """
  del scale
  return x


@reverse_gradient.defjvp
def _reversed(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
  (x, scale), (tangent, _) = primals, tangents
  # The loss's precision is the tangent's, whatever the scale's is.
  return x, (-scale * tangent).astype(tangent.dtype)
