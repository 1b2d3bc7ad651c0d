"""From one noise to another: does what a generator draws change by and by?"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jgm.core.state import Array
from jgm.eval.pictures import Picture, trajectory_strip


def latent_walk(
  draw: Callable[[Array], Array],
  z: Array,
  *,
  low: float,
  high: float,
  spherical: bool,
  num_steps: int = 8,
) -> Picture:
  """Walks between pairs of noises, one to a row, drawn by the generator at each step.

  Where neighbours in a row are alike and all look real, the generator has learnt more
  than a list of images. Rows that are equal to one another show a collapse.

  Args:
    draw: noise [N, D] -> images [N, H, W, C]. It is called once for each step, always
      for N; a conditional generator's may close over labels [N], one for each row.
    z: [2 N, D] float. Row i goes from z[i] to z[N + i].
    low: the value drawn black.
    high: the value drawn white.
    spherical: whether to walk along an arc rather than a straight line: for normal
      noise, which in many dimensions lies near a sphere, not within.
    num_steps: images in a row, both ends among them.

  Returns:
    [., ., 3] uint8 of N rows and `num_steps` columns.

  Raises:
    ValueError: if there are no pairs, or fewer than two steps.
  """
  shares = walk(z, spherical=spherical, num_steps=num_steps)
  return trajectory_strip(np.stack([draw(each) for each in shares]), low=low, high=high)


def walk(z: Array, *, spherical: bool, num_steps: int) -> list[Array]:
  """The noises on the way.

  Args:
    z: [2 N, D] float.
    spherical: if so, cos(a) z_1 + sin(a) z_2 for angles a from 0 to 90 degrees: of
      normal noise the norm and the distribution stay what they are.
    num_steps: at least 2.

  Returns:
    `num_steps` of [N, D], the first z[:N], the last z[N:].

  Raises:
    ValueError: if there are no pairs, or fewer than two steps.
  """
  if z.ndim != 2 or len(z) < 2 or len(z) % 2:
    raise ValueError(f"noise must be [2 N, D], from N to N others, not {list(z.shape)}")
  if num_steps < 2:
    raise ValueError(f"a walk has two ends, so two steps or more: {num_steps}")
  first, last = jnp.split(z, 2)
  shares = jnp.linspace(0.0, 1.0, num_steps)
  weights = [1 - shares, shares]
  if spherical:
    weights = [jnp.cos(shares * jnp.pi / 2), jnp.sin(shares * jnp.pi / 2)]
  return [one * first + other * last for one, other in zip(*weights, strict=True)]
