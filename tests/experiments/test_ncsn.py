"""NCSN: its ladder against the data, and what it learns against a closed form."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import norm

from experiments import ncsn
from jgm.cli.config import load_config
from jgm.data import make_dataset


@pytest.fixture(scope="module")
def digits():
  data = make_dataset("digits", batch_size=8, seed=0)
  return np.asarray(data.split("train")["x"]).reshape(data.spec.num_train, -1)


def test_the_ladder_of_the_default_is_by_techniques_1_and_2(digits):
  config = load_config("configs/ncsn.py")
  furthest = pdist(digits).max()
  assert furthest < config.sigma_max < 1.1 * furthest
  ratio = (config.sigma_max / config.sigma_min) ** (1 / (config.num_levels - 1))
  shift = np.sqrt(2 * digits.shape[1]) * (ratio - 1)
  overlap = norm.cdf(shift + 3 * ratio) - norm.cdf(shift - 3 * ratio)
  assert overlap > 0.5


@pytest.mark.parametrize("noise_conditional", [False, True])
def test_the_loss_is_least_where_least_squares_say(
  noise_conditional, digits, line, fit_line, monkeypatch
):
  """w regresses -eps on x_t / sqrt(1 + sigma^2), all levels alike."""
  monkeypatch.setattr(ncsn, "UNet", lambda **_: line)
  config = load_config("configs/ncsn.py:smoke")
  config.noise_conditional = noise_conditional
  w = fit_line(ncsn, config)

  squared = np.geomspace(config.sigma_min, config.sigma_max, config.num_levels) ** 2
  of_eps = np.mean(np.sqrt(squared / (1 + squared)))
  of_x = np.mean((np.mean(digits**2) + squared) / (1 + squared))
  assert w == pytest.approx(-of_eps / of_x, abs=0.02)
