"""Schedules, conversions and posteriors, against golden values and Bayes' rule."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise

SCHEDULES = {"linear": noise.linear_beta_schedule, "cosine": noise.cosine_schedule}
# mean, variance and x_t of x_0 = eps = 1; then x_0_hat, posterior mean and variance of
# x_t = eps_hat = 1; T = 100 and t = 5
GOLDEN = {
  "linear": (0.9820154, 0.03564582, 1.1708164, 0.8260552, 0.9467155, 0.007709955),
  "cosine": (0.9944681, 0.01103322, 1.0995072, 0.8999391, 0.9723116, 0.00222036),
}


def alpha_bar_of(name, num_steps):
  """The product of 1 - beta, as the papers print it."""
  if name == "linear":
    betas = np.linspace(1e-4, 0.02, num_steps) * 1000 / num_steps
  else:
    f = np.cos((np.arange(num_steps + 1) / num_steps + 0.008) / 1.008 * np.pi / 2) ** 2
    betas = np.minimum(1 - f[1:] / f[:-1], 0.999)
  return np.cumprod(1 - betas)


@pytest.mark.parametrize("name", SCHEDULES)
def test_golden_values(name):
  mean, variance, x_t, x_0_hat, posterior_mean, posterior_variance = GOLDEN[name]
  schedule, t, one = SCHEDULES[name](100), jnp.array([5]), jnp.ones((1, 2))
  alpha, sigma = schedule.alpha(t), schedule.sigma(t)
  close = lambda actual, wanted: np.testing.assert_allclose(actual, wanted, rtol=3e-6)
  close(alpha, [mean])
  close(sigma**2, [variance])
  close(noise.diffuse(one, one, t, schedule), np.full((1, 2), x_t))
  x_0 = noise.predict("eps", one, one, alpha, sigma).x_0
  close(x_0, np.full((1, 2), x_0_hat))
  reverse = noise.posterior(schedule, 5, 4)
  close(reverse.x_t_weight + reverse.x_0_weight * x_0, np.full((1, 2), posterior_mean))
  close(reverse.variance, posterior_variance)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("num_steps", [20, 1000])
def test_a_program_in_float32_loses_nothing_to_cancellation(name, num_steps):
  """1 - alpha_bar taken in float32 is wrong by 6e-4 where beta = 1e-4."""
  schedule, alpha_bar = SCHEDULES[name](num_steps), alpha_bar_of(name, num_steps)
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


@pytest.mark.parametrize("name", SCHEDULES)
def test_before_the_first_step_data_are_clean(name, key):
  schedule = SCHEDULES[name](1000)
  x_0, eps = jax.random.normal(key, (2, 3, 4))
  t = jnp.full((3,), noise.CLEAN)
  np.testing.assert_array_equal(noise.diffuse(x_0, eps, t, schedule), x_0)
  assert schedule.alpha(noise.CLEAN) == 1.0 and schedule.sigma(noise.CLEAN) == 0.0
  assert schedule.log_snr(noise.CLEAN) == np.inf
  reverse = noise.posterior(schedule, np.arange(3), np.full(3, noise.CLEAN))
  np.testing.assert_array_equal(reverse.x_t_weight, 0.0)
  np.testing.assert_array_equal(reverse.x_0_weight, 1.0)
  np.testing.assert_array_equal(reverse.variance, 0.0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_drift_and_diffusion_are_those_of_the_path(name):
  """Between two integers too, where the derivatives exist."""
  schedule, t, h = SCHEDULES[name](50), np.arange(-1, 49) + 0.4, 1e-5
  slope = lambda f: (f(t + h) - f(t - h)) / (2 * h)
  drift = slope(lambda t: np.log(schedule.alpha(t)))
  np.testing.assert_allclose(schedule.drift(t), drift, rtol=1e-6)
  growth = slope(lambda t: schedule.sigma(t) ** 2) - 2 * drift * schedule.sigma(t) ** 2
  np.testing.assert_allclose(schedule.diffusion(t) ** 2, growth, rtol=1e-6)
  # an integer belongs to the step that ends there
  np.testing.assert_array_equal(schedule.drift(np.arange(50)), schedule.drift(t))


def variance_exploding():
  sigma = lambda t: 0.01 * 100.0 ** np.asarray(t)
  log_snr = lambda t: -2 * np.log(sigma(t))
  return noise.Schedule(np.ones_like, sigma, log_snr, np.zeros_like, np.ones_like)


@pytest.mark.parametrize(
  ("schedule", "t", "s"),
  [
    (noise.linear_beta_schedule(100), 60, 59),
    (noise.linear_beta_schedule(100), 99, 3),
    (noise.cosine_schedule(100), 7, 0),
    (variance_exploding(), 0.9, 0.2),
  ],
)
def test_posterior_is_bayes_rule(schedule, t, s):
  """The product of N(x_s; alpha_s x_0, sigma_s^2) and N(x_t; a x_s, v), normalised."""
  x_0, x_t = 0.7, -1.3
  a = schedule.alpha(t) / schedule.alpha(s)
  v = schedule.sigma(t) ** 2 - a**2 * schedule.sigma(s) ** 2
  precision = 1 / schedule.sigma(s) ** 2 + a**2 / v
  pull = schedule.alpha(s) * x_0 / schedule.sigma(s) ** 2 + a * x_t / v
  reverse = noise.posterior(schedule, t, s)
  mean = reverse.x_t_weight * x_t + reverse.x_0_weight * x_0
  np.testing.assert_allclose(reverse.variance, 1 / precision, rtol=1e-9)
  np.testing.assert_allclose(reverse.transition_variance, v, rtol=1e-9)
  np.testing.assert_allclose(mean, pull / precision, rtol=1e-9)


@pytest.mark.parametrize("kind", noise.PREDICTIONS)
def test_predict_inverts_target(kind, key):
  """Also where alpha^2 + sigma^2 is not 1."""
  x_0, eps = jax.random.normal(key, (2, 4, 3, 2))
  alpha, sigma = jnp.array([1.0, 0.8, 0.3, 0.9]), jnp.array([0.02, 0.6, 0.95, 30.0])
  x_t = noise.per_example(alpha, x_0) * x_0 + noise.per_example(sigma, eps) * eps
  output = noise.target(kind, noise.Prediction(x_0, eps), alpha, sigma)
  back = jax.jit(noise.predict, static_argnums=0)(kind, output, x_t, alpha, sigma)
  # x_0 drowns in the noise of the last example, eps in the data of the first
  np.testing.assert_allclose(back.x_0, x_0, rtol=1e-3, atol=1e-4)
  np.testing.assert_allclose(back.eps, eps, rtol=1e-3, atol=1e-4)


def test_score_and_v_are_what_they_are_called(key):
  x_0, eps = jax.random.normal(key, (2, 5))
  alpha, sigma = jnp.cos(0.4), jnp.sin(0.4)
  truth = noise.Prediction(x_0, eps)
  log_q = lambda x_t: -0.5 * jnp.sum(jnp.square((x_t - alpha * x_0) / sigma))
  score = noise.target("score", truth, alpha, sigma)
  np.testing.assert_allclose(
    score, jax.grad(log_q)(alpha * x_0 + sigma * eps), rtol=1e-5
  )
  # v is the velocity of the path on the circle, alpha = cos, sigma = sin
  path = lambda angle: jnp.cos(angle) * x_0 + jnp.sin(angle) * eps
  velocity = jax.jvp(path, (jnp.float32(0.4),), (jnp.float32(1.0),))[1]
  v = noise.target("v", truth, alpha, sigma)
  np.testing.assert_allclose(v, velocity, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", noise.PREDICTIONS)
def test_a_perfect_network_of_any_kind_is_one_denoiser(kind, key):
  schedule = noise.cosine_schedule(100)
  key_x_0, key_eps = jax.random.split(key)
  x_0 = jax.random.uniform(key_x_0, (3, 2, 2, 1), minval=-1.0)
  eps, t = jax.random.normal(key_eps, x_0.shape), jnp.array([0, 50, 90])
  alpha, sigma = schedule.alpha(t), schedule.sigma(t)

  def network(x_t, t):
    return noise.target(kind, noise.Prediction(x_0, eps), alpha, sigma)

  chex.clear_trace_counter()

  @jax.jit
  @chex.assert_max_traces(n=1)
  def estimates(x_t, t):
    make = lambda clip: noise.make_denoiser(network, schedule, kind, clip=clip)
    return make(None)(x_t, t), make((-0.5, 0.5))(x_t, t)

  x_t = noise.diffuse(x_0, eps, t, schedule)
  for _ in range(2):
    free, clipped = estimates(x_t, t)
  np.testing.assert_allclose(free, x_0, atol=2e-5)
  np.testing.assert_allclose(clipped, jnp.clip(x_0, -0.5, 0.5), atol=2e-5)


def test_one_seed_is_one_lane_of_vmap(key):
  schedule = noise.linear_beta_schedule(10)
  x_0, eps = jax.random.normal(key, (2, 3, 4, 2))
  t = jnp.array([[0, 3, 9, 5], [1, 1, 2, 3], [-1, 0, 8, 9]])
  diffuse = jax.jit(lambda *arrays: noise.diffuse(*arrays, schedule))
  together = jax.jit(jax.vmap(diffuse))(x_0, eps, t)
  for i in range(3):
    np.testing.assert_allclose(together[i], diffuse(x_0[i], eps[i], t[i]), rtol=1e-6)


def test_bad_input_is_named():
  schedule, x = noise.linear_beta_schedule(10), jnp.ones((2, 3))
  sigma = jnp.zeros(2)
  with pytest.raises(ValueError, match=r"unknown prediction 'x0'.*'eps', 'x_0', 'v'"):
    noise.make_denoiser(lambda x_t, t: x_t, schedule, "x0")
  with pytest.raises(ValueError, match="unknown prediction"):
    noise.predict("noise", x, x, sigma, sigma)
  with pytest.raises(ValueError, match="unknown prediction"):
    noise.target("noise", noise.Prediction(x, x), sigma, sigma)
  with pytest.raises(ValueError, match="low < high"):
    noise.make_denoiser(lambda x_t, t: x_t, schedule, "eps", clip=(1.0, -1.0))
  with pytest.raises(ValueError, match="sigma = 0"):
    noise.target("score", noise.Prediction(x, x), jnp.ones(2), sigma)
  with pytest.raises(ValueError, match="sigma = 0"):
    noise.with_noise(schedule.sigma(np.arange(-1, 10)))
  with pytest.raises(ValueError, match="num_steps >= 1"):
    noise.cosine_schedule(0)
  with pytest.raises(ValueError, match="beta_start"):
    noise.linear_beta_schedule(10, 0.02, 1e-4)
  with pytest.raises(ValueError, match=r"betas must be \[T\]"):
    noise.schedule_from_betas(np.array([0.1, 1.0]))
  with pytest.raises(ValueError, match="discrete schedule is needed"):
    noise.discrete_steps(variance_exploding())
  with pytest.raises(AssertionError):
    noise.diffuse(x, x[:1], jnp.array([0, 1]), schedule)
