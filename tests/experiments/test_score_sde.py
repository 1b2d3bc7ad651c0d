"""Score SDE: its loss and its likelihood against closed forms, for each SDE."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import score_sde
from jgm import noise
from jgm.cli.config import load_config
from jgm.core.program import base_key
from jgm.data import make_dataset

SDES = {
  "vp": noise.vp_schedule,
  "sub_vp": noise.sub_vp_schedule,
  "ve": noise.ve_schedule,
}


class Gaussian:
  """The exact eps_hat for data of N(0, I), of x_t over its size and 40 log-SNR."""

  def init(self, key, x, t):
    return {"params": {"w": jnp.zeros(())}}

  def apply(self, variables, x, told, label=None, **options):
    sigma_over_size = jnp.sqrt(jax.nn.sigmoid(-told / 40))
    return noise.per_example(sigma_over_size, x) * x


def smoke(sde, **changes):
  config = load_config("configs/score_sde.py:smoke")
  config.sde = sde
  config.update(changes)
  return config


@pytest.mark.parametrize("sde", SDES)
def test_the_likelihood_of_a_gaussian_is_exact(sde, monkeypatch):
  monkeypatch.setattr(score_sde, "UNet", lambda **_: Gaussian())
  config = smoke(sde)
  config.likelihood.rtol = config.likelihood.atol = 1e-5
  experiment = score_sde.make(config)
  state = experiment.init(base_key(0), {})
  x = 1.5 * jax.random.normal(base_key(1), (4, 8, 8, 1))
  batch = {"x": x, "label": jnp.zeros(4, jnp.int32)}
  found = experiment.log_prob.fn(state, batch, base_key(2))

  path = SDES[sde](**config.sdes[sde])
  variance = path.alpha(path.first) ** 2 + path.sigma(path.first) ** 2
  squares = np.sum(np.square(x), axis=(1, 2, 3))
  exact = -0.5 * (squares / variance + 64 * math.log(2 * math.pi * variance))
  np.testing.assert_allclose(found, exact, rtol=1e-3)


@pytest.mark.parametrize("likelihood_weighting", [False, True])
@pytest.mark.parametrize("sde", SDES)
def test_the_loss_is_least_where_least_squares_say(
  sde, likelihood_weighting, line, fit_line, monkeypatch
):
  """w regresses eps on x_t over its size; each t counts by lambda / sigma^2."""
  monkeypatch.setattr(score_sde, "UNet", lambda **_: line)
  config = smoke(sde, likelihood_weighting=likelihood_weighting)
  config.sdes.sub_vp.first = 1e-2
  w = fit_line(score_sde, config)

  data = make_dataset("digits", batch_size=8, seed=0)
  x = np.asarray(data.split("train")["x"])
  second_moment = np.mean(x**2) + data.spec.bin_width**2 / 12
  path = SDES[sde](**config.sdes[sde])
  t = np.linspace(path.first, path.last, 100_001)
  alpha, sigma = path.alpha(t), path.sigma(t)
  weight = (path.diffusion(t) / sigma) ** 2 if likelihood_weighting else 1 + 0 * t
  size = alpha**2 + sigma**2
  of_eps = np.mean(weight * sigma / np.sqrt(size))
  of_x = np.mean(weight * (second_moment * alpha**2 + sigma**2) / size)
  assert w == pytest.approx(of_eps / of_x, abs=0.02)


@pytest.mark.parametrize("dequantise", [False, True])
def test_it_trains_on_dequantised_values_if_asked(
  dequantise, line, fit_line, monkeypatch
):
  """With a dequantisation that leaves nothing of the data, x_t is noise alone."""
  monkeypatch.setattr(score_sde, "UNet", lambda **_: line)
  monkeypatch.setattr(score_sde, "dequantise", lambda x, spec, key: 0 * x)
  config = smoke("vp", dequantise=dequantise, likelihood_weighting=False)
  w = fit_line(score_sde, config)
  path = SDES["vp"](**config.sdes.vp)
  sigma = path.sigma(np.linspace(path.first, path.last, 100_001))
  noise_alone = np.mean(sigma) / np.mean(sigma**2)
  assert (w == pytest.approx(noise_alone, abs=0.02)) == dequantise


def test_an_unknown_sde_is_named():
  with pytest.raises(ValueError, match=r"config.sde='sub_vpp'.*Did you mean 'sub_vp'"):
    score_sde.make(smoke("sub_vpp"))
