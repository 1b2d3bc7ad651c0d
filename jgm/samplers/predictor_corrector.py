"""Predictor and corrector: steps of the reverse SDE between steps of Langevin's."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jgm.noise import CLEAN, Denoiser, Schedule, make_score
from jgm.samplers.ancestral import ancestral_weights
from jgm.samplers.euler_maruyama import euler_maruyama_weights
from jgm.samplers.timesteps import checked_pairs
from jgm.samplers.walk import Trajectory, noise_source, times_like, walk, weights_like

Array = jax.Array

PREDICTORS = ("ancestral", "euler_maruyama")
NORMS = ("batch", "example")


def predictor_corrector(
  denoiser: Denoiser,
  schedule: Schedule,
  x_T: Array,
  key: Array,
  *,
  timesteps: ArrayLike | None = None,
  predictor: str = "ancestral",
  num_corrections: int = 1,
  snr: float = 0.16,
  norms: str = "batch",
  noise: Array | None = None,
  num_frames: int = 0,
) -> Array | tuple[Array, Trajectory]:
  """Samples by steps from t to s, after each of which x_s is corrected at s.

  A correction is x + e score + sqrt(2 e) z, e = 2 a (snr |z| / |score|)^2, where a is
  (alpha_s / alpha_r)^2, r the time after s: 1 - beta of a chain, 1 if the variance
  explodes. Where the score vanishes, e is alpha_s^2 + sigma_s^2.

  Args:
    denoiser: (x_t [B, ...], t [B]) -> x_0_hat [B, ...], called 1 + M times a step.
    schedule: any; with "euler_maruyama", of finite drift.
    x_T: [B, ...] float. Normal noise of the first time, or data noised up to it.
    key: typed key []. The predictor of step i draws from fold_in(key, i), and its
      correction j from fold_in(key, S + i M + j).
    timesteps: [S, 2] rows (t, t_previous), as `timestep_pairs` gives; None: all T of a
      discrete schedule.
    predictor: "ancestral", with the large variance, which is the reverse diffusion of
      an exploding variance; or "euler_maruyama".
    num_corrections: M >= 0, of each step.
    snr: the length of a correction's pull over that of its noise.
    norms: |z| and |score| are the means of the "batch", as in the authors' code; or
      those of each "example", so that no sample depends on the others. In few
      dimensions those are far from their mean, and the samples far too wide: on a
      Gaussian, 20 corrections of 8 steps give 3.4 times its variance if D = 2 and 1.5
      times if D = 8, instead of 1.06 times. From D = 64 on they are as good.
    noise: [S (1 + M), B, ...] standard normal, in the order of the key's numbers, taken
      instead of what the key would give.
    num_frames: K > 0 also returns K steps of the trajectory.

  Returns:
    [B, ...] float, the samples; with frames, (samples, Trajectory). A step that ends
    at clean data adds no noise, and nothing is corrected there. Property: the predictor
    alone if M = 0.

  Raises:
    ValueError: if the predictor or the norms are not known, the corrections or snr are
      negative, or as the predictor.

  Reference: Song et al. 2021, algorithms 2 to 5. https://arxiv.org/abs/2011.13456
  """
  if predictor not in PREDICTORS:
    raise ValueError(f"unknown predictor {predictor!r}: it is one of {PREDICTORS}")
  if norms not in NORMS:
    raise ValueError(f"unknown norms {norms!r}: they are those of one of {NORMS}")
  if num_corrections < 0 or not snr >= 0:
    raise ValueError(f"num_corrections and snr >= 0; got {num_corrections} and {snr}")
  t, s = checked_pairs(timesteps, schedule).T
  weights = (
    ancestral_weights(schedule, t, s, "large")
    if predictor == "ancestral"
    else euler_maruyama_weights(schedule, t, s)
  )
  num_steps = len(t)
  draw = noise_source(key, noise, num_steps * (1 + num_corrections), x_T)
  score = make_score(denoiser, schedule)

  def step(x_t: Array, t: Array, inputs: tuple, _: Array | None):
    index, s, weight, correction = inputs
    x_0_hat = denoiser(x_t, t)
    chex.assert_equal_shape([x_0_hat, x_t])
    x_s = weight.x_t * x_t + weight.x_0 * x_0_hat + weight.std * draw(index, x_t)

    def corrected(x_s: Array) -> Array:
      at = jnp.broadcast_to(s, x_s.shape[:1])
      first = num_steps + index * num_corrections

      def body(j: int, x: Array) -> Array:
        return _correct(x, score(x, at), draw(first + j, x), correction, norms)

      return jax.lax.fori_loop(0, num_corrections, body, x_s)

    if num_corrections:
      x_s = jax.lax.cond(correction.wanted > 0, corrected, lambda x: x, x_s)
    return x_s, x_0_hat

  correction = _corrections(schedule, s, snr)
  inputs = (
    jnp.arange(num_steps),
    times_like(x_T, s),
    *weights_like(x_T, (weights, correction)),
  )
  return walk(step, x_T, t, inputs, num_frames=num_frames)


class _Correction(NamedTuple):
  """What the corrections at each s need: [S] each."""

  size: Any  # 2 a snr^2
  limit: Any  # of the step, where the score vanishes
  wanted: Any  # whether there is noise, and therefore a score


def _corrections(schedule: Schedule, s: np.ndarray, snr: float) -> _Correction:
  after = np.append(s[1:], np.asarray(CLEAN, s.dtype))
  alpha, sigma = schedule.alpha(s), schedule.sigma(s)
  size = 2.0 * (snr * alpha / schedule.alpha(after)) ** 2
  return _Correction(size, alpha**2 + sigma**2, sigma > 0)


def _correct(
  x: Array, score: Array, z: Array, correction: _Correction, norms: str
) -> Array:
  wanted = correction.size * _squared_norm(z, norms)
  given = _squared_norm(score, norms)
  # e = wanted / given, without a division by 0
  short = wanted < correction.limit * given
  e = jnp.where(short, wanted / jnp.where(short, given, 1.0), correction.limit)
  return x + e * score + jnp.sqrt(2.0 * e) * z


def _squared_norm(x: Array, norms: str) -> Array:
  """Of each example [B, 1, ...], or of their mean norm [1, 1, ...]."""
  squared = jnp.sum(jnp.square(x), axis=range(1, x.ndim), keepdims=True)
  if norms == "example":
    return squared
  return jnp.square(jnp.mean(jnp.sqrt(squared), axis=0, keepdims=True))
