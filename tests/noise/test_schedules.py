"""Schedules, against golden values, closed forms and finite differences."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise

DISCRETE = {
  "linear": noise.linear_beta_schedule,
  "cosine": noise.cosine_schedule,
  "cosine from noise": functools.partial(
    noise.cosine_schedule, offset=0.07, normalise=False
  ),
  "geometric": noise.geometric_schedule,
}
CONTINUOUS = {
  "vp": noise.vp_schedule(),
  "sub_vp": noise.sub_vp_schedule(),
  "ve": noise.ve_schedule(),
  "rectified": noise.rectified_schedule(first=1e-3),
}
SCHEDULES = {name: make(50) for name, make in DISCRETE.items()} | CONTINUOUS
# mean, variance and x_t of x_0 = eps = 1; then x_0_hat, posterior mean and variance of
# x_t = eps_hat = 1; T = 100 and t = 5
GOLDEN = {
  "linear": (0.9820154, 0.03564582, 1.1708164, 0.8260552, 0.9467155, 0.007709955),
  "cosine": (0.9944681, 0.01103322, 1.0995072, 0.8999391, 0.9723116, 0.00222036),
}


def inner_times(schedule):
  """Times at which the rates are smooth, away from both ends."""
  if schedule.num_steps is not None:
    return np.arange(-1, schedule.num_steps - 1) + 0.4
  return np.linspace(0.01, 0.99, 41)


def alpha_bar_of(name, num_steps):
  """The product of 1 - beta, as the papers print it."""
  if name == "linear":
    betas = np.linspace(1e-4, 0.02, num_steps) * 1000 / num_steps
  else:
    f = np.cos((np.arange(num_steps + 1) / num_steps + 0.008) / 1.008 * np.pi / 2) ** 2
    betas = np.minimum(1 - f[1:] / f[:-1], 0.999)
  return np.cumprod(1 - betas)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name):
  mean, variance, x_t, x_0_hat, posterior_mean, posterior_variance = GOLDEN[name]
  schedule, t, one = DISCRETE[name](100), jnp.array([5]), jnp.ones((1, 2))
  close = lambda actual, wanted: np.testing.assert_allclose(actual, wanted, rtol=3e-6)
  close(schedule.alpha(t), [mean])
  close(schedule.sigma(t) ** 2, [variance])
  close(noise.diffuse(one, one, t, schedule), np.full((1, 2), x_t))
  x_0 = noise.predict("eps", one, one, schedule, t).x_0
  close(x_0, np.full((1, 2), x_0_hat))
  reverse = noise.posterior(schedule, 5, 4)
  close(reverse.x_t_weight + reverse.x_0_weight * x_0, np.full((1, 2), posterior_mean))
  close(reverse.variance, posterior_variance)


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("num_steps", [20, 1000])
def test_a_program_in_float32_loses_nothing_to_cancellation(name, num_steps):
  """1 - alpha_bar taken in float32 is wrong by 6e-4 where beta = 1e-4."""
  schedule, alpha_bar = DISCRETE[name](num_steps), alpha_bar_of(name, num_steps)
  if name == "linear" and num_steps == 20:  # betas of 1 and more are clipped
    alpha_bar = alpha_bar[:-1]
  t = jnp.arange(len(alpha_bar))
  for function, wanted in (
    (schedule.alpha, np.sqrt(alpha_bar)),
    (schedule.sigma, np.sqrt(1 - alpha_bar)),
  ):
    chex.assert_type(jax.jit(function)(t), jnp.float32)
    np.testing.assert_allclose(jax.jit(function)(t), wanted, rtol=3e-6)
    np.testing.assert_allclose(function(np.asarray(t)), wanted, rtol=1e-10)
  wanted = np.log(alpha_bar / (1 - alpha_bar))
  np.testing.assert_allclose(jax.jit(schedule.log_snr)(t), wanted, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("offset", [0.0, 0.008, 0.07, 2.0])
@pytest.mark.parametrize("num_steps", [20, 1000])
def test_the_cosine_is_its_formula_at_any_offset(offset, num_steps):
  f = lambda u: np.cos((u + offset) / (1 + offset) * np.pi / 2) ** 2
  t = np.arange(num_steps)
  for normalise, at_zero in ((True, f(0.0)), (False, 1.0)):
    schedule = noise.cosine_schedule(num_steps, offset=offset, normalise=normalise)
    # but for the last beta, which is clipped
    alpha_bar = (f((t + 1) / num_steps) / at_zero)[:-1]
    np.testing.assert_allclose(schedule.alpha(t[:-1]) ** 2, alpha_bar, rtol=1e-11)
    last = schedule.alpha(t[-1]) ** 2 / alpha_bar[-1]
    np.testing.assert_allclose(last, 0.001, rtol=1e-9)
    if normalise:
      assert schedule.sigma(0) ** 2 < 2 / num_steps
    else:
      angle = (1 / num_steps + offset) / (1 + offset) * np.pi / 2
      np.testing.assert_allclose(schedule.sigma(0), np.sin(angle), rtol=1e-9)


def test_the_continuous_ones_are_their_closed_forms():
  t = np.linspace(0.01, 1.0, 7)
  log_alpha = -0.25 * t**2 * 19.9 - 0.5 * t * 0.1
  closed = {
    "vp": (np.exp(log_alpha), np.sqrt(1 - np.exp(2 * log_alpha))),
    "sub_vp": (np.exp(log_alpha), 1 - np.exp(2 * log_alpha)),
    "ve": (np.ones(7), 0.01 * 5000**t),
    "rectified": (1 - t, t),
  }
  for name, (alpha, sigma) in closed.items():
    np.testing.assert_allclose(CONTINUOUS[name].alpha(t), alpha, rtol=1e-12)
    np.testing.assert_allclose(CONTINUOUS[name].sigma(t), sigma, rtol=1e-10)
  levels = SCHEDULES["geometric"].sigma(np.arange(50))
  np.testing.assert_allclose(levels, 0.01 * 1000 ** (np.arange(50) / 49), rtol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_program_is_the_host(name):
  """All seven functions: float32 in a program, float64 of numpy and of numbers."""
  schedule = SCHEDULES[name]
  t = inner_times(schedule)[1:].astype(np.float32)

  @jax.jit
  def program(t):
    return [function(t) for function in schedule[:7]]

  for field, function, actual in zip(
    schedule._fields, schedule[:7], program(jnp.asarray(t)), strict=False
  ):
    chex.assert_type(actual, jnp.float32)
    wanted = function(t.astype(np.float64))
    assert wanted.dtype == np.float64 and wanted.shape == t.shape, field
    atol = 2e-5 if field == "log_snr" else 0.0
    np.testing.assert_allclose(actual, wanted, rtol=5e-5, atol=atol, err_msg=field)
    np.testing.assert_allclose(function(float(t[3])), wanted[3], rtol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rates_are_those_of_the_path(name):
  """Between two integers too, where the derivatives exist."""
  schedule = SCHEDULES[name]
  t, h = inner_times(schedule), 1e-5
  slope = lambda f: (f(t + h) - f(t - h)) / (2 * h)
  close = lambda actual, wanted: np.testing.assert_allclose(
    actual, wanted, rtol=1e-5, atol=1e-9
  )
  close(schedule.alpha_rate(t), slope(schedule.alpha))
  close(schedule.sigma_rate(t), slope(schedule.sigma))
  drift = slope(lambda t: np.log(schedule.alpha(t)))
  close(schedule.drift(t), drift)
  growth = slope(lambda t: schedule.sigma(t) ** 2) - 2 * drift * schedule.sigma(t) ** 2
  close(schedule.diffusion(t) ** 2, growth)
  log_snr = 2 * np.log(schedule.alpha(t) / schedule.sigma(t))
  np.testing.assert_allclose(schedule.log_snr(t), log_snr, rtol=1e-9, atol=1e-9)
  assert np.all(np.diff(schedule.log_snr(t)) < 0)
  if schedule.num_steps is not None:  # an integer belongs to the step that ends there
    whole = np.arange(schedule.num_steps)
    np.testing.assert_array_equal(schedule.drift(whole), schedule.drift(t))
    np.testing.assert_array_equal(schedule.diffusion(whole), schedule.diffusion(t))


@pytest.mark.parametrize("name", SCHEDULES)
def test_before_the_first_step_data_are_clean(name, key):
  schedule = SCHEDULES[name]
  x_0, eps = jax.random.normal(key, (2, 3, 4))
  for clean in (noise.CLEAN, float(noise.CLEAN)):
    t = jnp.full((3,), clean)
    np.testing.assert_array_equal(noise.diffuse(x_0, eps, t, schedule), x_0)
    assert schedule.alpha(clean) == 1.0 and schedule.sigma(clean) == 0.0
    assert schedule.log_snr(clean) == np.inf
  t = np.array([0.1, 0.5, 0.9]) * schedule.last
  reverse = noise.posterior(schedule, t, np.full(3, noise.CLEAN))
  np.testing.assert_array_equal(reverse.x_t_weight, 0.0)
  np.testing.assert_array_equal(reverse.x_0_weight, 1.0)
  np.testing.assert_array_equal(reverse.variance, 0.0)


def test_the_vp_path_is_the_limit_of_linear_betas():
  """To first order in 1 / T: ten times the steps, a tenth of the difference."""
  continuous, differences = noise.vp_schedule(), []
  for num_steps in (1000, 10_000):
    chain = noise.linear_beta_schedule(num_steps)
    t = np.linspace(0.1, 1.0, 10)
    log_snr = chain.log_snr(t * num_steps - 1)
    differences.append(np.abs(log_snr - continuous.log_snr(t)).max())
  assert differences[0] < 0.15
  np.testing.assert_allclose(differences[0] / differences[1], 10, rtol=0.1)


def test_times_are_uniform_over_the_schedule(key):
  t = noise.sample_time(SCHEDULES["linear"], key, 4000)
  chex.assert_type(t, jnp.int32)
  counts = np.bincount(t, minlength=50)
  assert len(counts) == 50 and np.abs(counts - 80).max() < 4.5 * np.sqrt(80)
  t = noise.sample_time(CONTINUOUS["vp"], jax.random.clone(key), 4000)
  chex.assert_type(t, jnp.float32)
  assert 1e-3 <= t.min() < 0.01 and 0.99 < t.max() < 1.0
  assert abs(t.mean() - 0.5005) < 4 / np.sqrt(12 * 4000)


def test_where_sampling_begins():
  for name, wanted in {"linear": 1, "vp": 1, "rectified": 1, "ve": 2501**0.5}.items():
    np.testing.assert_allclose(noise.prior_scale(SCHEDULES[name]), wanted, rtol=1e-3)


@pytest.mark.parametrize(
  ("make", "match"),
  [
    (lambda: noise.cosine_schedule(0), "num_steps >= 1"),
    (lambda: noise.cosine_schedule(9, offset=-0.1), r"offset must be in \[0, inf\)"),
    (lambda: noise.cosine_schedule(9, offset=float("nan")), "offset must be in"),
    (lambda: noise.geometric_schedule(0), "num_steps >= 1"),
    (lambda: noise.linear_beta_schedule(10, 0.02, 1e-4), "beta_start"),
    (lambda: noise.schedule_from_betas(np.array([0.1, 1.0])), r"betas must be \[T\]"),
    (lambda: noise.schedule_from_sigmas(np.array([0.0, 1.0])), r"sigmas must be \[T\]"),
    (lambda: noise.schedule_from_sigmas(np.array([2.0, 1.0])), "growing"),
    (lambda: noise.geometric_schedule(5, 1.0, 1.0), "sigma_min < sigma_max"),
    (lambda: noise.ve_schedule(2.0, 1.0), "sigma_min < sigma_max"),
    (lambda: noise.vp_schedule(0.0), "beta_min < beta_max"),
    (lambda: noise.sub_vp_schedule(first=0.0), r"first must be in \(0, 1\)"),
    (lambda: noise.rectified_schedule(first=1.0), r"first must be in \[0, 1\)"),
    (lambda: noise.discrete_steps(noise.ve_schedule()), "discrete schedule is needed"),
    (lambda: noise.require_noise(SCHEDULES["linear"], [3, -1]), r"t = -1.*sigma = 0"),
    (lambda: noise.require_noise(noise.rectified_schedule(), 0.0), "sigma = 0"),
  ],
)
def test_bad_input_is_named(make, match):
  with pytest.raises(ValueError, match=match):
    make()
