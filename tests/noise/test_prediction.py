"""What a network may predict: every kind on every path, each turned into the others."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise

SCHEDULES = {
  "cosine": noise.cosine_schedule(100),
  "geometric": noise.geometric_schedule(20, 0.05, 5.0),
  "vp": noise.vp_schedule(),
  "sub_vp": noise.sub_vp_schedule(),
  "ve": noise.ve_schedule(0.05, 5.0),
  "rectified": noise.rectified_schedule(),
  "late": noise.rectified_schedule(first=0.1),
}
# the pairs that leave x_0 undefined at one end
REFUSED = {
  ("eps", "rectified"),
  ("score", "rectified"),
  ("eps", "late"),
  ("score", "late"),
}
PAIRS = [(kind, name) for kind in noise.PREDICTIONS for name in SCHEDULES]


def truth_at(schedule, key, shape=(4, 3, 2)):
  """Data, noise and the noisy x_t at four times between the ends."""
  x_0, eps = jax.random.normal(key, (2, *shape))
  t = jnp.array([0.12, 0.3, 0.6, 0.85]) * schedule.last
  t = jnp.round(t).astype(jnp.int32) if schedule.num_steps else t
  return noise.Prediction(x_0, eps), noise.diffuse(x_0, eps, t, schedule), t


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_predict_inverts_target(kind, name, key):
  schedule = SCHEDULES[name]
  truth, x_t, t = truth_at(schedule, key)
  if (kind, name) in REFUSED:
    with pytest.raises(ValueError, match=r"sigma = 0|alpha = 0"):
      noise.predict(kind, truth.eps, x_t, schedule, t)
    with pytest.raises(ValueError, match=r"sigma = 0|alpha = 0"):
      noise.target(kind, truth, schedule, t)
    return

  @jax.jit
  def there_and_back(truth, t):
    output = noise.target(kind, truth, schedule, t)
    return noise.predict(kind, output, x_t, schedule, t)

  back = there_and_back(truth, t)
  # eps drowns in data of 20 times its size, x_0 in noise of 10 times
  np.testing.assert_allclose(back.x_0, truth.x_0, rtol=1e-3, atol=2e-4)
  np.testing.assert_allclose(back.eps, truth.eps, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("name", ["cosine", "vp", "sub_vp", "ve", "late"])
def test_the_velocity_is_that_of_the_path(name, key):
  schedule = SCHEDULES[name]
  truth, _, t = truth_at(schedule, key)
  t = t.astype(jnp.float32) - 0.3 * (schedule.num_steps is not None)
  path = lambda t: noise.diffuse(*truth, t, schedule)
  wanted = jax.jvp(path, (t,), (jnp.ones_like(t),))[1]
  actual = noise.target("velocity", truth, schedule, t)
  np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-4)
  if name == "late":  # the straight path's own
    np.testing.assert_allclose(actual, truth.eps - truth.x_0, rtol=1e-6)


def test_at_pure_noise_the_velocity_still_says_what_x_0_is(key):
  """Also at t = 0 of the straight path, what eps is."""
  schedule = SCHEDULES["rectified"]
  x_0, eps = jax.random.normal(key, (2, 2, 3))
  t = jnp.array([0.0, 1.0])
  for kind in ("velocity", "v"):
    output = noise.target(kind, noise.Prediction(x_0, eps), schedule, t)
    x_t = noise.diffuse(x_0, eps, t, schedule)
    back = noise.predict(kind, output, x_t, schedule, t)
    np.testing.assert_allclose(back.x_0, x_0, atol=1e-6)
    np.testing.assert_allclose(back.eps, eps, atol=1e-6)


def test_score_and_v_are_what_they_are_called(key):
  schedule, t = SCHEDULES["vp"], jnp.float32(0.4)
  x_0, eps = jax.random.normal(key, (2, 5))
  alpha, sigma = schedule.alpha(t), schedule.sigma(t)
  truth = noise.Prediction(x_0, eps)
  log_q = lambda x_t: -0.5 * jnp.sum(jnp.square((x_t - alpha * x_0) / sigma))
  score = noise.target("score", truth, schedule, t)
  wanted = jax.grad(log_q)(alpha * x_0 + sigma * eps)
  np.testing.assert_allclose(score, wanted, rtol=1e-5)
  # v is the velocity of the path on the circle, alpha = cos, sigma = sin
  angle = jnp.arctan2(sigma, alpha)
  path = lambda angle: jnp.cos(angle) * x_0 + jnp.sin(angle) * eps
  velocity = jax.jvp(path, (angle,), (jnp.float32(1.0),))[1]
  v = noise.target("v", truth, schedule, t)
  np.testing.assert_allclose(v, velocity, rtol=1e-5, atol=1e-6)


def test_a_denoiser_is_a_score(key):
  """Of N(m, v): the gradient of its log-density at every noise, by Tweedie."""
  schedule, mean, variance = SCHEDULES["sub_vp"], 0.7, 0.3

  def moments(x_t, t):
    alpha, sigma = (noise.per_example(f(t), x_t) for f in schedule[:2])
    return alpha, alpha * mean, alpha**2 * variance + sigma**2

  def denoiser(x_t, t):
    alpha, m, v = moments(x_t, t)
    return mean + alpha * variance / v * (x_t - m)

  x_t, t = jax.random.normal(key, (4, 3)), jnp.array([0.05, 0.3, 0.7, 1.0])
  _, m, v = moments(x_t, t)
  score = noise.make_score(denoiser, schedule)(x_t, t)
  np.testing.assert_allclose(score, (m - x_t) / v, rtol=1e-4)


@pytest.mark.parametrize("kind", noise.PREDICTIONS)
def test_a_perfect_network_of_any_kind_is_one_denoiser(kind, key):
  schedule = noise.cosine_schedule(100)
  key_x_0, key_eps = jax.random.split(key)
  x_0 = jax.random.uniform(key_x_0, (3, 2, 2, 1), minval=-1.0)
  eps, t = jax.random.normal(key_eps, x_0.shape), jnp.array([0, 50, 90])

  def network(x_t, t):
    return noise.target(kind, noise.Prediction(x_0, eps), schedule, t)

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


def test_bad_input_is_named():
  schedule, x, t = SCHEDULES["cosine"], jnp.ones((2, 3)), jnp.array([0, 1])
  network = lambda x_t, t: x_t
  with pytest.raises(ValueError, match=r"unknown prediction 'x0'.*'velocity'"):
    noise.make_denoiser(network, schedule, "x0")
  with pytest.raises(ValueError, match="unknown prediction"):
    noise.predict("noise", x, x, schedule, t)
  with pytest.raises(ValueError, match="unknown prediction"):
    noise.target("noise", noise.Prediction(x, x), schedule, t)
  with pytest.raises(ValueError, match="low < high"):
    noise.make_denoiser(network, schedule, "eps", clip=(1.0, -1.0))
  with pytest.raises(ValueError, match="begin at a later time"):
    noise.make_denoiser(network, SCHEDULES["rectified"], "score")
  with pytest.raises(ValueError, match="predict 'velocity', 'v' or 'x_0'"):
    noise.check_prediction("eps", SCHEDULES["late"])
  with pytest.raises(AssertionError):
    noise.target("eps", noise.Prediction(x, x[:1]), schedule, t)
  with pytest.raises(AssertionError):
    noise.predict("eps", x, x[:1], schedule, t)
