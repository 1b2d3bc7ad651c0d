"""Predictor and corrector: each of its steps written out, and what it is good for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise
from jgm.samplers.ancestral import ancestral
from jgm.samplers.euler_maruyama import euler_maruyama
from jgm.samplers.predictor_corrector import predictor_corrector
from jgm.samplers.timesteps import timestep_pairs

M, SNR = 2, 0.3


def written_out(path, gaussian, pairs, x, draws, norms):
  """Song et al.'s algorithms 4 and 5, for any path."""
  num_steps = len(pairs)
  for i, (t, s) in enumerate(pairs):
    x_0_hat = gaussian.estimate(path, x, t)
    if path.sigma(s) == 0:
      return x_0_hat
    a = path.alpha(t) / path.alpha(s)
    added = path.sigma(t) ** 2 - a**2 * path.sigma(s) ** 2
    precision = 1 / path.sigma(s) ** 2 + a**2 / added
    pull = x_0_hat * path.alpha(s) / path.sigma(s) ** 2 + x * a / added
    x = pull / precision + np.sqrt(added) * draws[i]
    a = (path.alpha(s) / path.alpha(pairs[i + 1][1])) ** 2
    for j in range(M):
      x_0_hat, z = gaussian.estimate(path, x, s), draws[num_steps + i * M + j]
      score = (path.alpha(s) * x_0_hat - x) / path.sigma(s) ** 2
      length = lambda v: np.linalg.norm(v, axis=1, keepdims=True)
      if norms == "batch":
        length = lambda v: np.linalg.norm(v, axis=1).mean()
      e = 2 * a * (SNR * length(z) / length(score)) ** 2
      # no step is longer than the data and the noise are wide
      e = np.minimum(e, path.alpha(s) ** 2 + path.sigma(s) ** 2)
      x = x + e * score + np.sqrt(2 * e) * z
  raise AssertionError("the steps end at clean data")


def test_it_is_the_algorithm_written_out(path, gaussian):
  check_written_out(path, gaussian, "batch")


def test_so_it_is_by_each_examples_own_norms(paths, gaussian):
  check_written_out(paths["vp"], gaussian, "example")


def check_written_out(path, gaussian, norms):
  schedule = path.schedule
  pairs = timestep_pairs(schedule, 4, spacing=None if schedule.num_steps else "karras")
  random = np.random.default_rng(0)
  x_T = random.standard_normal((5, 2)) * noise.prior_scale(schedule)
  draws = random.standard_normal((4 * (1 + M), 5, 2))
  with jax.enable_x64(True):
    sample = jax.jit(
      lambda x_T, draws: predictor_corrector(
        gaussian.denoiser(schedule),
        schedule,
        x_T,
        None,
        timesteps=pairs,
        num_corrections=M,
        snr=SNR,
        norms=norms,
        noise=draws,
      )
    )
    actual = np.asarray(sample(jnp.asarray(x_T), jnp.asarray(draws)))
  wanted = written_out(path, gaussian, pairs, x_T, draws, norms)
  np.testing.assert_allclose(actual, wanted, rtol=1e-8)


def test_without_corrections_it_is_the_predictor(gaussian, key):
  schedule = noise.vp_schedule()
  pairs = timestep_pairs(schedule, 5)

  @jax.jit
  def all_of(x_T, key):
    args = (gaussian.denoiser(schedule), schedule, x_T, key)
    alone = lambda name: predictor_corrector(
      *args, timesteps=pairs, predictor=name, num_corrections=0
    )
    return (
      (alone("ancestral"), ancestral(*args, timesteps=pairs, variance="large")),
      (alone("euler_maruyama"), euler_maruyama(*args, timesteps=pairs)),
    )

  for actual, wanted in all_of(jnp.linspace(-1, 1, 8).reshape(4, 2), key):
    np.testing.assert_array_equal(actual, wanted)


def test_corrections_mend_what_too_few_steps_spoil(key):
  """Eight steps of the large variance leave data of variance 0.3 too wide."""
  schedule = noise.vp_schedule()
  pairs = timestep_pairs(schedule._replace(first=0.2), 8, spacing="log_snr")[:-1]
  alpha, sigma = schedule.alpha(0.2), schedule.sigma(0.2)

  def denoiser(x_t, t):
    alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
    return 0.3 * alpha / (0.3 * alpha**2 + sigma**2) * x_t

  @jax.jit
  def excess(x_T, key):
    return [
      predictor_corrector(
        denoiser, schedule, x_T, key, timesteps=pairs, num_corrections=m, norms=norms
      ).var()
      / (0.3 * alpha**2 + sigma**2)
      - 1
      for m, norms in ((0, "batch"), (20, "batch"), (20, "example"))
    ]

  x_T = jax.random.normal(jax.random.key(1), (4000, 2))
  without, batch, example = excess(x_T, key)
  assert batch < 0.3 * without
  assert example > without  # what the docstring warns of: D = 2


def test_by_its_own_norms_no_example_depends_on_the_others(gaussian, key):
  schedule = noise.vp_schedule()
  pairs = timestep_pairs(schedule, 3)
  draws = jax.random.normal(key, (6, 4, 2))
  sample = jax.jit(
    lambda x_T, draws: predictor_corrector(
      gaussian.denoiser(schedule),
      schedule,
      x_T,
      None,
      timesteps=pairs,
      norms="example",
      noise=draws,
    )
  )
  x_T = jnp.arange(8.0).reshape(4, 2)
  together = sample(x_T, draws)
  np.testing.assert_allclose(sample(x_T[2:3], draws[:, 2:3])[0], together[2], rtol=1e-5)


def test_where_the_score_vanishes_all_stays_finite(key):
  """A network that is 0, as at the start of training, predicts eps = 0."""
  schedule = noise.vp_schedule()
  still = noise.make_denoiser(lambda x_t, t: 0 * x_t, schedule, "eps", clip=(-1, 1))
  flat = lambda x_t, t: x_t / noise.per_example(schedule.alpha(t), x_t)
  pairs = timestep_pairs(schedule, 3)
  for denoiser in (still, flat):
    x_T = jnp.ones((2, 3))
    x = predictor_corrector(
      denoiser, schedule, x_T, jax.random.clone(key), timesteps=pairs
    )
    assert np.all(np.isfinite(x))


def test_bad_input_is_named(key):
  sample = lambda schedule, **options: predictor_corrector(
    lambda x_t, t: x_t, schedule, jnp.zeros((2, 2)), key, **options
  )
  chain, straight = noise.linear_beta_schedule(5), noise.rectified_schedule()
  with pytest.raises(ValueError, match=r"unknown predictor 'ddim'.*'ancestral'"):
    sample(chain, predictor="ddim")
  with pytest.raises(ValueError, match=r"unknown norms 'max'.*'batch', 'example'"):
    sample(chain, norms="max")
  with pytest.raises(ValueError, match="num_corrections and snr >= 0"):
    sample(chain, num_corrections=-1)
  with pytest.raises(ValueError, match="num_corrections and snr >= 0"):
    sample(chain, snr=-0.1)
  with pytest.raises(ValueError, match="drift is infinite"):
    pairs = timestep_pairs(straight, 4)
    sample(straight, predictor="euler_maruyama", timesteps=pairs)
