"""Transformations of logits: which tokens may be sampled, and how sharply.

Each takes [..., V] logits of any kind to [..., V] float32 logits of another
distribution, -inf where a token is excluded; the softmax renormalises. Sampling and
scoring by the same transformation agree: see `jgm.samplers.decode`.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

Array = jax.Array
LogitsTransform = Callable[[Array], Array]


def identity(logits: Array) -> Array:
  """The logits as they are: the model's own distribution."""
  return logits.astype(jnp.float32)


def greedy(logits: Array) -> Array:
  """All the probability on the most probable token; of several, on the first.

  Args:
    logits: [..., V] float.

  Returns:
    [..., V] float32: 0 for that token, -inf for all others.
  """
  vocab = jnp.arange(logits.shape[-1])
  best = jnp.argmax(logits, axis=-1)[..., None]
  vocab = vocab.reshape((1,) * (logits.ndim - 1) + (-1,))
  return jnp.where(vocab == best, 0.0, -jnp.inf)


def temperature(value: float) -> LogitsTransform:
  """Logits over a temperature: below 1 sharper, above 1 flatter.

  Args:
    value: the temperature; 0 gives `greedy`, the limit.

  Returns:
    LogitsTransform.

  Raises:
    ValueError: for a temperature that is negative or not finite.
  """
  if not (math.isfinite(value) and value >= 0):
    raise ValueError(f"temperature is a number >= 0, not {value}")
  if value == 0:
    return greedy
  return lambda logits: identity(logits) / value


def top_k(k: int) -> LogitsTransform:
  """The k most probable tokens; of equal ones at the limit, those that come first.

  Args:
    k: how many, exactly; V where there are no more.

  Returns:
    LogitsTransform.

  Raises:
    ValueError: for k < 1.

  Reference: Fan, Lewis & Dauphin 2018, section 5.4. https://arxiv.org/abs/1805.04833
  """
  if k < 1:
    raise ValueError(f"top_k keeps at least one token, not {k}")

  def transform(logits: Array) -> Array:
    if k >= logits.shape[-1]:
      return identity(logits)
    values, tokens = jax.lax.top_k(identity(logits), k)
    return _only(tokens, values, logits)

  return transform


def top_p(p: float) -> LogitsTransform:
  """The smallest set of most probable tokens that together have probability p.

  A token stays if those before it, in order of probability, have less than p: at least
  one does. Of equal tokens those that come first in the vocabulary come first.

  Args:
    p: in (0, 1]; 1 excludes none.

  Returns:
    LogitsTransform, of the distribution after those before it in a `chain`.

  Raises:
    ValueError: for a p outside (0, 1].

  Reference: Holtzman et al. 2020, section 3.1. https://arxiv.org/abs/1904.09751
  """
  if not 0 < p <= 1:
    raise ValueError(f"top_p keeps a probability in (0, 1], not {p}")

  def transform(logits: Array) -> Array:
    if p == 1:  # rounding must not exclude the last
      return identity(logits)
    values, tokens = jax.lax.top_k(identity(logits), logits.shape[-1])
    probabilities = jax.nn.softmax(values, axis=-1)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    return _only(tokens, jnp.where(before < p, values, -jnp.inf), logits)

  return transform


def min_p(p: float) -> LogitsTransform:
  """The tokens at least p times as probable as the most probable one.

  Args:
    p: in [0, 1]; 0 excludes none, 1 all but the most probable, equal ones included.

  Returns:
    LogitsTransform.

  Raises:
    ValueError: for a p outside [0, 1].

  Reference: Nguyen et al. 2025, section 3.2. https://arxiv.org/abs/2407.01082
  """
  if not 0 <= p <= 1:
    raise ValueError(f"min_p keeps what has a share p in [0, 1] of the most, not {p}")

  def transform(logits: Array) -> Array:
    logits = identity(logits)
    if p == 0:
      return logits
    most = jnp.max(logits, axis=-1, keepdims=True)
    return jnp.where(logits >= most + math.log(p), logits, -jnp.inf)

  return transform


def chain(*transforms: LogitsTransform) -> LogitsTransform:
  """One transformation after another, from left to right; of none, the identity."""

  def transform(logits: Array) -> Array:
    logits = identity(logits)
    for one in transforms:
      logits = one(logits)
    return logits

  return transform


def make_transform(**options: float | None) -> LogitsTransform:
  """The usual ones, in their usual order, from plain values.

  Args:
    **options: any of `temperature`, `top_k`, `top_p` and `min_p`, by name; None leaves
      one out.

  Returns:
    LogitsTransform; `greedy` itself at temperature 0, whatever the others exclude.

  Raises:
    ValueError: for another name, or a value that one of them does not take.
  """
  unknown = options.keys() - TRANSFORMS.keys()
  if unknown:
    raise ValueError(f"no such transformation: {', '.join(sorted(unknown))}")
  chosen = [
    make(options[name])
    for name, make in TRANSFORMS.items()
    if options.get(name) is not None
  ]
  return greedy if greedy in chosen else chain(*chosen)


# in the order in which they are applied
TRANSFORMS: dict[str, Callable[..., LogitsTransform]] = {
  "temperature": temperature,
  "top_k": top_k,
  "top_p": top_p,
  "min_p": min_p,
}


def _only(tokens: Array, values: Array, logits: Array) -> Array:
  """-inf but at `tokens` [..., K], where `values` are."""
  excluded = jnp.full(logits.shape, -jnp.inf)
  return jnp.put_along_axis(excluded, tokens, values, axis=-1, inplace=False)
