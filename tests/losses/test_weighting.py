"""Weights by the log-SNR: golden values, and one loss whatever a network predicts."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.core.choice import choose
from jgm.losses import weighting
from jgm.losses.regression import squared_error
from jgm.noise import Prediction, cosine_schedule, diffuse, predict, target

NAMES = [
  "constant_weight",
  "snr_weight",
  "truncated_snr_weight",
  "snr_plus_one_weight",
  "min_snr_weight",
]
KINDS = ("x_0", "eps", "v")


@pytest.mark.parametrize(
  ("name", "wanted"),
  [  # at an SNR of 1/4, 1, 5 and 20
    ("constant_weight", {kind: [1, 1, 1, 1] for kind in KINDS}),
    (
      "snr_weight",
      {
        "x_0": [1 / 4, 1, 5, 20],
        "eps": [1, 1, 1, 1],
        "v": [1 / 5, 1 / 2, 5 / 6, 20 / 21],
      },
    ),
    (
      "truncated_snr_weight",
      {"x_0": [1, 1, 5, 20], "eps": [4, 1, 1, 1], "v": [4 / 5, 1 / 2, 5 / 6, 20 / 21]},
    ),
    (
      "snr_plus_one_weight",
      {"x_0": [5 / 4, 2, 6, 21], "eps": [5, 2, 6 / 5, 21 / 20], "v": [1, 1, 1, 1]},
    ),
    (
      "min_snr_weight",
      {
        "x_0": [1 / 4, 1, 5, 5],
        "eps": [1, 1, 1, 1 / 4],
        "v": [1 / 5, 1 / 2, 5 / 6, 5 / 21],
      },
    ),
  ],
)
def test_golden_values(name, wanted):
  weight = choose(name, weighting, what="config.weighting")
  log_snr = jnp.log(jnp.array([0.25, 1.0, 5.0, 20.0]))
  for kind, values in wanted.items():
    for call in (weight, jax.jit(weight, static_argnums=1)):
      np.testing.assert_allclose(call(log_snr, kind), values, rtol=1e-6)
  np.testing.assert_array_equal(weight(log_snr), weight(log_snr, "eps"))


def test_gamma_is_where_min_snr_stops():
  log_snr = jnp.log(jnp.array([0.5, 2.0, 8.0]))
  actual = weighting.min_snr_weight(log_snr, "x_0", gamma=2.0)
  np.testing.assert_allclose(actual, [0.5, 2, 2], rtol=1e-6)
  actual = weighting.min_snr_weight(log_snr, "eps", gamma=2.0)
  np.testing.assert_allclose(actual, [1, 1, 0.25], rtol=1e-6)


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_loss_is_the_same_whatever_the_network_predicts(name, key):
  """The same estimate, said as x_0, as eps and as v, through `jgm.noise`."""
  schedule, t = cosine_schedule(20), jnp.array([1, 5, 10, 18])
  x_0, eps, x_0_hat = jax.random.normal(key, (3, 4, 2, 3))
  x_t = diffuse(x_0, eps, t, schedule)
  guess = predict("x_0", x_0_hat, x_t, schedule, t)
  losses = [
    choose(name, weighting, what="")(schedule.log_snr(t), kind)
    * squared_error(
      target(kind, guess, schedule, t),
      target(kind, Prediction(x_0, eps), schedule, t),
    )
    for kind in KINDS
  ]
  np.testing.assert_allclose(losses[1], losses[0], rtol=2e-4)
  np.testing.assert_allclose(losses[2], losses[0], rtol=2e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_extremes_are_finite_in_value_and_gradient(name, kind):
  weight = choose(name, weighting, what="")
  log_snr = jnp.array([-jnp.inf, -60.0, -1.0, 0.0, 60.0, jnp.inf])
  slopes = jax.jit(jax.grad(lambda log_snr: jnp.sum(weight(log_snr, kind))))(log_snr)
  value = weight(log_snr, kind)
  chex.assert_tree_all_finite((value, slopes))
  assert value.shape == (6,) and np.all(value >= 0)
  # far out there is one asymptote: a power of the SNR
  small, large = np.exp(-60.0), np.exp(60.0)
  ends = {
    "constant_weight": {"x_0": (1, 1), "eps": (1, 1), "v": (1, 1)},
    "snr_weight": {"x_0": (small, large), "eps": (1, 1), "v": (small, 1)},
    "truncated_snr_weight": {"x_0": (1, large), "eps": (large, 1), "v": (1, 1)},
    "snr_plus_one_weight": {"x_0": (1, large), "eps": (large, 1), "v": (1, 1)},
    "min_snr_weight": {
      "x_0": (small, 5),
      "eps": (1, 5 * small),
      "v": (small, 5 * small),
    },
  }
  np.testing.assert_allclose(value[jnp.array([1, 4])], ends[name][kind], rtol=1e-5)


def test_bad_input_is_named():
  log_snr = jnp.zeros(2)
  for name in NAMES[1:]:
    with pytest.raises(ValueError, match="no weight for prediction 'velocity'"):
      choose(name, weighting, what="")(log_snr, "velocity")
  np.testing.assert_array_equal(weighting.constant_weight(log_snr, "velocity"), [1, 1])
  with pytest.raises(ValueError, match="gamma must be above 0"):
    weighting.min_snr_weight(log_snr, gamma=0.0)
