"""The flow's log-density, against that of a Gaussian mixture, exactly known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise
from jgm.data.gaussian_mixture import mixture_log_density
from jgm.samplers.likelihood import flow_log_prob

SCHEDULES = {
  "vp": noise.vp_schedule(first=0.01),
  "rectified": noise.rectified_schedule(first=0.05),
}
POINTS = np.array([[1.0, 0.4], [0.0, 0.0], [-0.7, 1.0], [1.5, -1.5]])


def log_density(mixture, schedule, t):
  def log_prob(x):
    alpha, sigma = (float(f(t)) for f in (schedule.alpha, schedule.sigma))
    return mixture_log_density(mixture, x, alpha=alpha, sigma=sigma)

  return log_prob


@pytest.mark.parametrize("name", SCHEDULES)
def test_it_is_the_density_of_the_mixture(name, mixture, mixture_denoiser):
  """To 1e-3 nats in float32, with the exact trace and the exact terminal density."""
  schedule = SCHEDULES[name]
  exact = log_density(mixture, schedule, schedule.first)(jnp.asarray(POINTS))

  @jax.jit
  def log_prob(x):
    return flow_log_prob(
      mixture_denoiser(mixture, schedule),
      schedule,
      x,
      trace="exact",
      log_prior=log_density(mixture, schedule, schedule.last),
    )

  np.testing.assert_allclose(log_prob(jnp.float32(POINTS)), exact, atol=1e-3)


def test_at_pure_noise_the_prior_needs_no_data(mixture, mixture_denoiser):
  """N(0, I) is exact where alpha = 0; an example may have any shape."""
  schedule = SCHEDULES["rectified"]
  denoiser = mixture_denoiser(mixture, schedule)
  exact = log_density(mixture, schedule, 0.2)(jnp.float32(POINTS))

  def pictures(x_t, t):
    return denoiser(x_t.reshape(-1, 2), t).reshape(x_t.shape)

  @jax.jit
  def log_prob(x):
    options = {"trace": "exact", "start": 0.2, "with_evaluations": True}
    return flow_log_prob(pictures, schedule, x, **options)

  actual, evaluations = log_prob(jnp.float32(POINTS).reshape(4, 1, 2, 1))
  np.testing.assert_allclose(actual, exact, atol=1e-3)
  assert 20 < evaluations < 500


def test_hutchinsons_estimate_averages_to_it(mixture, mixture_denoiser, key):
  """Two probes, 128 keys: within 4 standard errors."""
  schedule = SCHEDULES["rectified"]
  exact = log_density(mixture, schedule, 0.05)(jnp.float32(POINTS))

  @jax.jit
  @jax.vmap
  def estimates(key):
    denoiser = mixture_denoiser(mixture, schedule)
    return flow_log_prob(denoiser, schedule, jnp.float32(POINTS), key, num_probes=2)

  found = estimates(jax.random.split(key, 128))
  error = np.abs(found.mean(0) - exact) / (found.std(0) / 128**0.5 + 1e-4)
  assert np.all(error < 4), f"off by {error} standard errors"
  assert np.all(found.std(0) > 1e-3)


def test_bad_input_is_named(key):
  still, x = lambda x_t, t: x_t, jnp.zeros((2, 2))
  log_prob = lambda schedule=SCHEDULES["vp"], key=key, **options: flow_log_prob(
    still, schedule, x, key, **options
  )
  with pytest.raises(ValueError, match=r"unknown trace 'hutch'.*'exact'"):
    log_prob(trace="hutch")
  with pytest.raises(ValueError, match="needs a key and num_probes >= 1; got 0"):
    log_prob(num_probes=0)
  with pytest.raises(ValueError, match="needs a key"):
    log_prob(key=None)
  with pytest.raises(ValueError, match="begin at a later time"):
    log_prob(noise.rectified_schedule())
  with pytest.raises(ValueError, match="low < high"):
    log_prob(start=0.5, end=0.2)
