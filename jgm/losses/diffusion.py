"""The variational bound of diffusion models, in nats per example."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgm.losses.gaussian import (
  discretised_gaussian_log_prob,
  gaussian_kl,
  gaussian_log_prob,
)
from jgm.noise import (
  Denoiser,
  Schedule,
  diffuse,
  discrete_steps,
  per_example,
  posterior,
)

Array = jax.Array


class Bound(NamedTuple):
  """The terms of a bound on -log p(x_0), in nats per example; all but one are >= 0."""

  prior: Array  # [B] KL(q(x_T | x_0) || N(0, I)): no network changes it
  steps: Array  # [B, T-1] KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)), t = 1 .. T-1
  decoder: Array  # [B] -log p(x_0 | x_1): negative where it is a density

  @property
  def log_prob(self) -> Array:
    """The bound itself: [B] nats, at most log p(x_0) in expectation."""
    return -(self.prior + self.decoder + jnp.sum(self.steps, axis=1))


def variational_bound(
  denoiser: Denoiser,
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
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...].
    schedule: discrete, preserving the variance.
    x_0: [B, ...] float. The data; where they have levels, the middles of their bins.
    key: typed key []. Step t draws from fold_in(key, t).
    levels: the number of grey levels, whose log mass is bounded; None: a log-density.
    low: the value of level 0.
    high: the value of the last level.
    variance: of p(x_{t-1} | x_t): "small" or "large", see `jgm.noise.Posterior`.
    decoder_variance: of p(x_0 | x_1); None: the posterior variance of the next step, as
      the authors' own code has it, for its own is 0 if "small" and wide if "large".

  Returns:
    Bound, each term summed over all axes but the first. Property: averaged over data
    and keys, `log_prob` is at most the log-likelihood.

  Raises:
    ValueError: if the schedule is continuous or the variance is not known.

  Reference: Ho, Jain, Abbeel 2020, eqs. 5 and 13. https://arxiv.org/abs/2006.11239
  """
  chain = _make_chain(schedule, variance, decoder_variance)

  def term(_: None, t: Array) -> tuple[None, Array]:
    x_0_hat = _noised_estimate(
      denoiser, schedule, x_0, jnp.full(len(x_0), t), jax.random.fold_in(key, t)
    )
    return None, _step_kl(chain, x_0, x_0_hat, t)

  _, steps = jax.lax.scan(term, None, jnp.arange(1, discrete_steps(schedule)))
  x_0_hat = _noised_estimate(
    denoiser, schedule, x_0, jnp.zeros(len(x_0), jnp.int32), jax.random.fold_in(key, 0)
  )
  decoder = _decoder(chain, x_0, x_0_hat, levels, low, high)
  return Bound(_prior_kl(schedule, x_0), steps.T, decoder)


def sampled_variational_bound(
  denoiser: Denoiser,
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
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...]; called num_samples + 1 times.
    schedule: discrete, preserving the variance.
    x_0: [B, ...] float.
    key: typed key [].
    num_samples: the number of steps drawn for each example.
    levels: as `variational_bound` has it, like all that follow.
    low: the value of level 0.
    high: the value of the last level.
    variance: "small" or "large".
    decoder_variance: of p(x_0 | x_1).

  Returns:
    [B] float. Property: over keys, its mean is that of the exact sum's `log_prob`.

  Raises:
    ValueError: as `variational_bound`, or if num_samples < 1.

  Reference: Nichol & Dhariwal 2021, section 3.3. https://arxiv.org/abs/2102.09672
  """
  if num_samples < 1:
    raise ValueError(f"an estimate needs num_samples >= 1; got {num_samples}")
  chain = _make_chain(schedule, variance, decoder_variance)
  key_decoder, key_steps = jax.random.split(key)
  num_terms = len(chain.x_0_weight) - 1

  def term(_: None, index: Array) -> tuple[None, Array]:
    key_t, key_eps = jax.random.split(jax.random.fold_in(key_steps, index))
    t = jax.random.randint(key_t, (len(x_0),), 1, num_terms + 1)
    x_0_hat = _noised_estimate(denoiser, schedule, x_0, t, key_eps)
    return None, _step_kl(chain, x_0, x_0_hat, t)

  first = jnp.zeros(len(x_0), jnp.int32)
  x_0_hat = _noised_estimate(denoiser, schedule, x_0, first, key_decoder)
  decoder = _decoder(chain, x_0, x_0_hat, levels, low, high)
  exact = -_prior_kl(schedule, x_0) - decoder
  if num_terms == 0:
    return exact
  _, terms = jax.lax.scan(term, None, jnp.arange(num_samples))
  return exact - num_terms * jnp.mean(terms, axis=0)


class _Chain(NamedTuple):
  """q(x_{t-1} | x_t, x_0) beside p(x_{t-1} | x_t), at t = 0 .. T-1: [T] each."""

  x_0_weight: np.ndarray  # of x_0 in the mean of q, of x_0_hat in that of p
  log_variance: np.ndarray  # of q; at t = 0, where q is x_0 itself, never used
  model_log_variance: np.ndarray  # of p


def _make_chain(
  schedule: Schedule, variance: str, decoder_variance: float | None
) -> _Chain:
  if variance not in ("small", "large"):
    raise ValueError(f"unknown variance {variance!r}: it is 'small' or 'large'")
  t = np.arange(discrete_steps(schedule))
  reverse = posterior(schedule, t, t - 1)
  small = reverse.variance.copy()
  small[0] = small[1] if len(t) > 1 else reverse.transition_variance[0]
  model = (small if variance == "small" else reverse.transition_variance).copy()
  model[0] = small[0] if decoder_variance is None else decoder_variance
  return _Chain(reverse.x_0_weight, np.log(small), np.log(model))


def _noised_estimate(
  denoiser: Denoiser, schedule: Schedule, x_0: Array, t: Array, key: Array
) -> Array:
  eps = jax.random.normal(key, x_0.shape, x_0.dtype)
  return denoiser(diffuse(x_0, eps, t, schedule), t)


def _step_kl(chain: _Chain, x_0: Array, x_0_hat: Array, t: Array) -> Array:
  # what x_t adds to the mean of q it adds to that of p too
  weight, log_variance, model_log_variance = (
    per_example(jnp.asarray(values)[t], x_0) for values in chain
  )
  return gaussian_kl(weight * x_0, log_variance, weight * x_0_hat, model_log_variance)


def _decoder(
  chain: _Chain,
  x_0: Array,
  x_0_hat: Array,
  levels: int | None,
  low: float,
  high: float,
) -> Array:
  log_variance = jnp.asarray(chain.model_log_variance[0], x_0.dtype)
  if levels is None:
    return -gaussian_log_prob(x_0, x_0_hat, log_variance)
  return -discretised_gaussian_log_prob(
    x_0, x_0_hat, log_variance, levels=levels, low=low, high=high
  )


def _prior_kl(schedule: Schedule, x_0: Array) -> Array:
  last = discrete_steps(schedule) - 1
  mean = jnp.asarray(schedule.alpha(last), x_0.dtype) * x_0
  log_variance = jnp.asarray(2 * np.log(schedule.sigma(last)), x_0.dtype)
  zero = jnp.zeros((), x_0.dtype)
  return gaussian_kl(mean, log_variance, jnp.zeros_like(mean), zero)
