"""The variational bound of diffusion models, in nats per example."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jgm.losses.reverse_chain import (
  Estimate,
  decoder_loss,
  make_chain,
  prior_kl,
  step_kl,
)
from jgm.noise import Denoiser, Schedule, diffuse, discrete_steps

Array = jax.Array
# (x_t [B, ...], t [B]) -> x_0_hat [B, ...] and the fraction of its variance [B, ...]
LearnedDenoiser = Callable[[Array, Array], tuple[Array, Array]]


class Bound(NamedTuple):
  """The terms of a bound on -log p(x_0), in nats per example; all but one are >= 0."""

  prior: Array  # [B] KL(q(x_T | x_0) || p(x_T)): no network changes it
  steps: Array  # [B, T-1] KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)), t = 1 .. T-1
  decoder: Array  # [B] -log p(x_0 | x_1): negative where it is a density

  @property
  def log_prob(self) -> Array:
    """The bound itself: [B] nats, at most log p(x_0) in expectation."""
    return -(self.prior + self.decoder + jnp.sum(self.steps, axis=1))


def variational_bound(
  denoiser: Denoiser | LearnedDenoiser,
  schedule: Schedule,
  x_0: Array,
  key: Array,
  *,
  levels: int | None,
  low: float = -1.0,
  high: float = 1.0,
  variance: str = "small",
  decoder_variance: float | None = None,
) -> Bound:
  """The variational bound on -log p(x_0), term by term, in nats per example.

  One evaluation of the denoiser for each of the T steps, each at its own noise.

  Args:
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...]; or with variance="learned",
      (x_0_hat, fraction [B, ...] in [0, 1]).
    schedule: discrete.
    x_0: [B, ...] float. The data; where they have levels, the middles of their bins.
    key: typed key []. Step t draws from fold_in(key, t).
    levels: the number of grey levels, whose log mass is bounded; None: a log-density.
    low: the value of level 0.
    high: the value of the last level.
    variance: of p(x_{t-1} | x_t): "small" or "large", see `jgm.noise.Posterior`; or
      "learned", between the two: `jgm.noise.learned_log_variance`.
    decoder_variance: of p(x_0 | x_1); None: the posterior variance of the next step, as
      the authors' own code has it, for its own is 0 if "small" and wide if "large"; if
      "learned", between that and the wide one.

  Returns:
    Bound, each term summed over all axes but the first. Property: averaged over data
    and keys, `log_prob` is at most the log-likelihood.

  Raises:
    ValueError: if the schedule is continuous, the variance is not known, or the
      denoiser does not return what goes with it.

  Reference: Ho, Jain, Abbeel 2020, eqs. 5 and 13. https://arxiv.org/abs/2006.11239
  """
  chain = make_chain(schedule, variance, decoder_variance)
  estimate = _make_estimate(denoiser, schedule, x_0, learned=variance == "learned")

  def term(_: None, t: Array) -> tuple[None, Array]:
    guess = estimate(jnp.full(len(x_0), t), jax.random.fold_in(key, t))
    return None, step_kl(chain, x_0, guess, t)

  _, steps = jax.lax.scan(term, None, jnp.arange(1, discrete_steps(schedule)))
  guess = estimate(jnp.zeros(len(x_0), jnp.int32), jax.random.fold_in(key, 0))
  decoder = decoder_loss(chain, x_0, guess, levels=levels, low=low, high=high)
  return Bound(prior_kl(schedule, x_0), steps.T, decoder)


def sampled_variational_bound(
  denoiser: Denoiser | LearnedDenoiser,
  schedule: Schedule,
  x_0: Array,
  key: Array,
  *,
  num_samples: int,
  levels: int | None,
  low: float = -1.0,
  high: float = 1.0,
  variance: str = "small",
  decoder_variance: float | None = None,
) -> Array:
  """An unbiased estimate of the bound on log p(x_0), in nats per example.

  The sum over the steps is estimated from a few, drawn uniformly for each example.

  Args:
    denoiser: as `variational_bound` has it; called num_samples + 1 times.
    schedule: discrete.
    x_0: [B, ...] float.
    key: typed key [].
    num_samples: the number of steps drawn for each example.
    levels: as `variational_bound` has it, like all that follow.
    low: the value of level 0.
    high: the value of the last level.
    variance: "small", "large" or "learned".
    decoder_variance: of p(x_0 | x_1).

  Returns:
    [B] float. Property: over keys, its mean is that of the exact sum's `log_prob`.

  Raises:
    ValueError: as `variational_bound`, or if num_samples < 1.

  Reference: Nichol & Dhariwal 2021, section 3.3. https://arxiv.org/abs/2102.09672
  """
  if num_samples < 1:
    raise ValueError(f"an estimate needs num_samples >= 1; got {num_samples}")
  chain = make_chain(schedule, variance, decoder_variance)
  estimate = _make_estimate(denoiser, schedule, x_0, learned=variance == "learned")
  key_decoder, key_steps = jax.random.split(key)
  num_terms = discrete_steps(schedule) - 1

  def term(_: None, index: Array) -> tuple[None, Array]:
    key_t, key_eps = jax.random.split(jax.random.fold_in(key_steps, index))
    t = jax.random.randint(key_t, (len(x_0),), 1, num_terms + 1)
    return None, step_kl(chain, x_0, estimate(t, key_eps), t)

  guess = estimate(jnp.zeros(len(x_0), jnp.int32), key_decoder)
  decoder = decoder_loss(chain, x_0, guess, levels=levels, low=low, high=high)
  exact = -prior_kl(schedule, x_0) - decoder
  if num_terms == 0:
    return exact
  _, terms = jax.lax.scan(term, None, jnp.arange(num_samples))
  return exact - num_terms * jnp.mean(terms, axis=0)


def _make_estimate(
  denoiser: Denoiser | LearnedDenoiser, schedule: Schedule, x_0: Array, *, learned: bool
) -> Callable[[Array, Array], Estimate]:
  """(t [B], key) -> what the denoiser says of x_0, noised up to t."""

  def estimate(t: Array, key: Array) -> Estimate:
    eps = jax.random.normal(key, x_0.shape, x_0.dtype)
    output = denoiser(diffuse(x_0, eps, t, schedule), t)
    # an array of two examples, too, could be taken apart in silence
    if isinstance(output, tuple) != learned:
      raise ValueError(
        "a denoiser returns (x_0_hat, fraction) if variance='learned', and else x_0_hat"
      )
    return Estimate(*output) if isinstance(output, tuple) else Estimate(output)

  return estimate
