"""Which numbers of a pytree are finite."""

import collections
from typing import Any

import jax
import jax.numpy as jnp

from jgm.core.state import Array, PyTree

_SMALL = 2**16  # numbers


def must_be_finite(metric: str) -> bool:
  """Whether a metric of this name may be neither NaN nor infinite: losses, norms.

  Any other may be: a mean over no episodes is NaN, a log-ratio may be infinite.

  Args:
    metric: its name, "quantity" or "player/quantity".

  Returns:
    True or False.
  """
  return metric.rsplit("/", 1)[-1] in ("loss", "gradient_norm")


def all_finite(tree: PyTree, *, join: bool = True) -> Array:
  """Whether every floating-point number of `tree` is finite.

  Args:
    tree: any arrays; integers, booleans and keys count as finite.
    join: whether small leaves are looked at as one; leaves that are cut over devices
      would be gathered for that.

  Returns:
    bool [].
  """
  small: dict[Any, list[Array]] = collections.defaultdict(list)
  looked_at: list[Array] = []
  for leaf in jax.tree.leaves(tree):
    if join and _floats(leaf) and leaf.size <= _SMALL:
      small[leaf.dtype].append(jnp.ravel(leaf))
    elif _floats(leaf):
      looked_at.append(leaf)
  # Hundreds of small leaves are looked at as one: each alone is a kernel to compile.
  looked_at += map(jnp.concatenate, small.values())
  flags = [jnp.all(jnp.isfinite(leaf)) for leaf in looked_at]
  return jnp.all(jnp.stack(flags)) if flags else jnp.array(True)


def first_non_finite(tree: PyTree) -> str | None:
  """The path of the first leaf of `tree` that holds a number which is not finite.

  Args:
    tree: concrete arrays.

  Returns:
    Its path, such as "params/down_0/conv/kernel", or None.
  """
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    if _floats(leaf) and not bool(jnp.all(jnp.isfinite(leaf))):
      return jax.tree_util.keystr(path, simple=True, separator="/")
  return None


def _floats(leaf: Array) -> bool:
  return jnp.issubdtype(leaf.dtype, jnp.inexact)
