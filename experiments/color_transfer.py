"""Colour transfer: each of two photographs in the other's colours, by a transport plan.

Reinhard et al. 2001 name the task; Pooladian & Niles-Weed 2021, "Entropic estimation of
optimal transport maps", give the map that goes on to pixels the plan has not seen.
https://arxiv.org/abs/2109.12004 https://doi.org/10.1109/38.946629

    min_P <P, C> + epsilon KL(P | a b^T),  C_ij = |x_i - y_j|^2
    T(x) = sum_j w_j(x) y_j,  w_j(x) ~ b_j exp((g_j - |x - y_j|^2) / epsilon)

    python -m experiments.color_transfer --config=configs/color_transfer.py

Nothing is learned by gradients: the parameters are the potentials f and g of a sample
of pixels, a row for each epsilon, and a step solves the problem at the next, smaller
epsilon from the row before. There are no batches: the sample is part of the state. Each
photograph is a cloud of points in the cube of red, green and blue.

Measured, in levels of 255, as the sliced Wasserstein distance of palettes: the temple
in the flower's colours is 2.1 from the flower's (two halves of its pixels: 2.0; before:
100; by the affine map between Gaussians: 40), the flower in the temple's 2.9 (1.6; 100;
51). Large epsilons give all pixels about the mean colour. Small ones tear: the sky's
even slope from white to blue ends in teal here and orange there, with grains at the
edge, since each pixel goes its own way and no place is known. The ten epsilons take 4
to 28 iterations each. Half a minute of processor time.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange

from jgm import cli, ot
from jgm.core import Array, Experiment, new_state
from jgm.data.photos import read_photos
from jgm.eval.color_transfer import make_transfer_evaluation


class Palettes(NamedTuple):
  """Colours of pixels, each coordinate in [0, 1]."""

  x: Array  # [n, 3] of the first photograph
  y: Array  # [n, 3] of the second


def make(config) -> Experiment:
  """The method, bound to a config."""
  check_epsilons(config.epsilons, config.total_steps)
  if config.num_pixels < 1:
    raise ValueError(f"config.num_pixels={config.num_pixels}: it is at least 1")
  epsilons = np.asarray(config.epsilons, np.float32)
  n = config.num_pixels

  def epsilon_of(row):
    """Of the epsilons, the one whose turn it is: float32 []."""
    return jnp.asarray(epsilons)[row]

  def solve(palettes, epsilon, initial, **options):
    return ot.sinkhorn(
      *palettes, epsilon=epsilon, relative=True, initial=initial, **options
    )

  def step(state, batch, key):
    """One epsilon: row `step` of the potentials, from the row before."""
    f, g = state.params["f"], state.params["g"]
    now = jnp.minimum(state.step, len(epsilons) - 1)
    before = jnp.maximum(now - 1, 0)
    start = (f[before], g[before])
    found = solve(state.extra, epsilon_of(now), start, **config.transport)
    params = {"f": f.at[now].set(found.f), "g": g.at[now].set(found.g)}
    metrics = {
      "epsilon": found.problem.epsilon,
      "transport/cost": found.transport_cost,
      "transport/dual_cost": found.dual_cost,
      "transport/iterations": found.iterations.astype(jnp.float32),
      "transport/converged": found.converged.astype(jnp.float32),
    }
    return state.replace(params=params), metrics

  def init(key, pretrained):
    key_x, key_y, key_state = jax.random.split(key, 3)
    photos = rearrange(read_photos()["photos"], "p h w c -> p (h w) c")

    def draw(key, photo):
      rows = jax.random.randint(key, (n,), 0, len(photo))
      return jnp.asarray(photo)[rows] / 255.0

    palettes = Palettes(draw(key_x, photos[0]), draw(key_y, photos[1]))
    params = {"f": jnp.zeros((len(epsilons), n)), "g": jnp.zeros((len(epsilons), n))}
    return new_state(key_state, params, (), extra=palettes)

  # What follows carries the plans on to all pixels.

  @jax.jit
  def transfer(state, row, x, y):
    """x in the second photograph's colours, y in the first's; the marginal error."""
    start = (state.params["f"][row], state.params["g"][row])
    plan = solve(state.extra, epsilon_of(row), start, max_iterations=1)
    return (
      ot.entropic_map(plan, x),
      ot.entropic_map(plan, y, inverse=True),
      plan.error,
    )

  def last_row(state):
    return max(0, min(int(state.step), len(epsilons)) - 1)

  def sample(state, key, n):
    """Colours of the first photograph, as they are in the other's palette: [n, 3]."""
    x = rearrange(read_photos()["photos"][0], "h w c -> (h w) c") / np.float32(255)
    rows = jax.random.randint(key, (n,), 0, len(x))
    return transfer(state, last_row(state), x[rows], x[rows])[0]

  evaluate = make_transfer_evaluation(
    transfer,
    last_row,
    config.epsilons,
    num_shown=config.num_shown,
    num_samples=config.eval.num_samples,
  )
  return Experiment(None, init, step, evaluate, sample)


def check_epsilons(epsilons, total_steps):
  """Raises where there is nothing to solve, or not in this order."""
  if not epsilons or min(epsilons) <= 0 or list(epsilons) != sorted(epsilons)[::-1]:
    raise ValueError(f"config.epsilons falls, and stays above 0; got {epsilons}")
  if total_steps > len(epsilons):
    raise ValueError(
      f"config.total_steps={total_steps}: a step takes one of config.epsilons, of "
      f"which there are {len(epsilons)}"
    )


if __name__ == "__main__":
  cli.main(make)
