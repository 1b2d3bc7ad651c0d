"""Where the bits of a diffusion model's bound are: its terms, step by step."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgm.core.experiment import Batch, Scalar
from jgm.core.state import Array
from jgm.data.spec import DataSpec, bits_per_dim
from jgm.eval.line_plot import Series, line_plot
from jgm.eval.pictures import Picture
from jgm.losses.diffusion import LearnedDenoiser
from jgm.losses.reverse_chain import (
  Estimate,
  decoder_loss,
  make_chain,
  prior_kl,
  step_kl,
)
from jgm.noise import VARIANCES, Schedule, diffuse, discrete_steps

NUM_POINTS = 30  # at most, of each line in the picture


class BoundTerms(NamedTuple):
  """The mean terms of a bound, in bits per dimension."""

  prior: Array  # [] KL(q(x_T | x_0) || p(x_T))
  steps: dict[str, Array]  # by variance: [T], the decoder's term at t = 0


def bound_terms(
  denoiser: Callable[[Batch], LearnedDenoiser],
  schedule: Schedule,
  batch: Batch,
  key: Array,
  spec: DataSpec,
  *,
  num_examples: int,
) -> BoundTerms:
  """Each of the T terms, by the learned variance and by both of its bounds.

  One network and one decoder, of learned variance, serve all three: what differs is the
  variance of the steps alone. How wide a decoder should be depends on the noise of the
  first step and the size of a grey level, about which neither fixed variance is right.

  Args:
    denoiser: a batch of B -> the denoiser of it (it may be told the labels), which is
      (x_t [B, ...], t [B]) -> (x_0_hat, fraction), each [B, ...].
    schedule: discrete.
    batch: leaves [N, ...]; "x" are the data, the middles of their bins.
    key: typed key []. Step t draws from fold_in(key, t).
    spec: of the data, which have grey levels.
    num_examples: B, those that a term is the mean over: the next B at each step.

  Returns:
    BoundTerms of "learned", "large" and "small". Property: over keys and data, the sum
    of "learned" is that of `variational_bound`.

  Raises:
    ValueError: if the schedule is continuous, or the data have no grey levels.

  Reference: Nichol & Dhariwal 2021, section 3.1. https://arxiv.org/abs/2102.09672
  """
  chains = {name: make_chain(schedule, name, None) for name in VARIANCES}
  levels: dict[str, Any] = {"levels": spec.levels, "low": spec.low, "high": spec.high}
  in_bits = lambda nats: jnp.mean(bits_per_dim(-nats, spec, discrete=True))

  def term(_: None, t: Array) -> tuple[None, dict[str, Array]]:
    rows = (t * num_examples + jnp.arange(num_examples)) % len(batch["x"])
    some = jax.tree.map(lambda leaf: leaf[rows], batch)
    x, times = some["x"], jnp.full(num_examples, t)
    eps = jax.random.normal(jax.random.fold_in(key, t), x.shape, x.dtype)
    x_0_hat, fraction = denoiser(some)(diffuse(x, eps, times, schedule), times)

    learned = Estimate(x_0_hat, fraction)
    decoder = decoder_loss(chains["learned"], x, learned, **levels)

    def nats(name: str) -> Array:
      guess = learned if name == "learned" else Estimate(x_0_hat)
      return jnp.where(times == 0, decoder, step_kl(chains[name], x, guess, times))

    return None, {name: in_bits(nats(name)) for name in VARIANCES}

  _, steps = jax.lax.scan(term, None, jnp.arange(discrete_steps(schedule)))
  return BoundTerms(in_bits(prior_kl(schedule, batch["x"])), steps)


def bound_scalars(terms: BoundTerms, spec: DataSpec) -> dict[str, Scalar]:
  """The bound's parts, and what it would be by either of the fixed variances.

  Args:
    terms: the mean terms.
    spec: of the data.

  Returns:
    By name. Parts are beside 0, than which none is less; bounds beside the bits of a
    model that is uniform.
  """
  learned = np.asarray(terms.steps["learned"])
  parts = {
    "bits_per_dim_bound_prior": float(terms.prior),
    "bits_per_dim_bound_steps": float(learned[1:].sum()),
    "bits_per_dim_bound_decoder": float(learned[0]),
  }
  note = f"a part of the bound, variance learned; {len(learned)} steps in all"
  found = {name: Scalar(value, 0.0, note=note) for name, value in parts.items()}
  uniform = float(np.log2(spec.levels or 1))
  for name, steps in terms.steps.items():
    found[f"bits_per_dim_bound_{name}_variance"] = Scalar(
      value=float(terms.prior + jnp.sum(steps)),
      ceiling=uniform,
      note=f"the same network and decoder, steps' variance {name}; every term; "
      "ceiling: uniform",
    )
  return found


def bound_pictures(terms: BoundTerms) -> dict[str, Picture]:
  """Where the bits are: each step's, and all up to it, by each of the variances.

  Args:
    terms: the mean terms.

  Returns:
    Two pictures by caption. In the first a point is the mean over neighbouring steps,
    fewer near the data; the decoder's term, which may be next to nothing, is left out.
  """
  num_steps = len(terms.steps["learned"])
  edges = np.unique(np.geomspace(1, num_steps, NUM_POINTS).astype(int))
  bins = list(itertools.pairwise(edges.tolist()))
  middles = [(first + last - 1) / 2 for first, last in bins]
  each: dict[str, Series] = {}
  up_to: dict[str, Series] = {}
  for name, values in terms.steps.items():
    steps = np.asarray(values)
    each[name] = (middles, [steps[first:last].mean() for first, last in bins])
    up_to[name] = (edges, np.cumsum(steps)[edges - 1])
  return {
    "the bound, step by step": line_plot(
      each,
      x_label="step t",
      y_label="bits per dimension of one step",
      title="One network, three variances of its steps back",
      log_x=True,
      log_y=True,
    ),
    "the bound, summed up": line_plot(
      up_to,
      x_label="number of steps, counted from the data",
      y_label="bits per dimension of the decoder and the steps up to here",
      title="One network, three variances of its steps back",
      log_x=True,
    ),
  }
