"""Score matching on a mixture whose score is known, away from any training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.score_matching import LOSSES, make
from jgm.cli.config import load_config
from jgm.core import make_program
from jgm.core.loop import train
from jgm.core.program import base_key
from jgm.data.gaussian_mixture import gaussian_pair, mixture_sample, mixture_score

SIGMA = 0.5


def config(**changes):
  smoke = load_config("configs/score_matching.py:smoke")
  smoke.update_from_flattened_dict(changes)
  return smoke


def trained(config):
  """The state and the metrics after the config's steps."""
  experiment = make(config)
  program = make_program(experiment, data_devices=1, steps_per_call=config.total_steps)
  state = program.init(0)
  (chunk,) = train(experiment, program, state, total_steps=config.total_steps)
  return experiment, program.whole(chunk.state), chunk.metrics


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_the_distance_to_the_true_score_but_for_a_constant(name, key):
  """Hyvärinen's theorem 1, Vincent's equation 11: and all of them for one score."""
  key_x, key_eps, key_loss = jax.random.split(key, 3)
  n = 50_000
  mixture = gaussian_pair()
  x_0, _ = mixture_sample(mixture, key_x, n)
  eps = jax.random.normal(key_eps, x_0.shape)
  x = x_0 + SIGMA * eps
  truth = lambda x: mixture_score(mixture, x, sigma=SIGMA)
  wrong = lambda x: 0.7 * truth(x) + 0.2 * jnp.sin(x[:, ::-1])
  noise = eps, jnp.float32(SIGMA)
  same = jax.random.clone(key_loss)
  of_wrong = np.asarray(LOSSES[name](wrong, x, noise, key_loss))
  of_truth = np.asarray(LOSSES[name](truth, x, noise, same))
  distance = 0.5 * np.sum(np.square(wrong(x) - truth(x)), axis=1)
  # what is left has mean zero over the data, and is not zero example by example
  left = of_wrong - of_truth - distance
  assert abs(left.mean()) < 4 * left.std() / np.sqrt(n)
  assert distance.mean() > 10 * left.std() / np.sqrt(n)


def test_a_score_of_zero_has_the_losses_that_it_must_have():
  """The network starts at zero: nothing but the target of the noise is left."""
  for name, wanted in {
    "implicit": 0.0,
    "sliced": 0.0,
    "denoising": 1 / SIGMA**2,
  }.items():
    changes = {"loss": name, "sigma": SIGMA, "total_steps": 1, "data.batch_size": 4096}
    _, _, metrics = trained(config(**changes))
    loss = float(metrics["loss"][0])
    # of 1/2 ||eps / sigma||^2, a chi-square of two degrees, the deviation is the mean
    assert abs(loss - wanted) <= 4 * wanted / np.sqrt(4096), name


def test_the_score_is_found_and_its_ceiling_is_the_fisher_information():
  changes = {
    "loss": "implicit",
    "total_steps": 300,
    "ema_decay": 0.9,
    "data.batch_size": 128,
    "model.features": 32,
    "optimizer.learning_rate": 1e-2,
  }
  experiment, state, _ = trained(config(**changes))
  scalars = experiment.evaluate(state, base_key(0)).scalars
  # Two Gaussians that do not overlap, each of D / variance.
  n, wanted = 10_000, 2 / (1 + 0.1**2)
  ceiling = scalars["score_error_data"].ceiling
  assert abs(ceiling - wanted) < 4 * wanted / np.sqrt(n)
  assert scalars["score_error_data"].value < 0.1 * ceiling
  # Chains of ten steps, begun everywhere alike, are nearest to each half the time.
  half = 0.5 * np.log(0.5 / 0.2) + 0.5 * np.log(0.5 / 0.8)
  assert abs(scalars["mode_kl_nats_true_score"].value - half) < 0.1


def test_chains_are_one_chain_cut_short():
  experiment, state, _ = trained(config(total_steps=1))
  image = experiment.evaluate(state, base_key(0)).images
  assert {"score", "how samples arise", "chains led by the true score"} < set(image)
  far = experiment.sample(state, base_key(1), 150, num_steps=3, step_size=1e-6)
  # begun all over the range, and no further than the noise of three steps
  assert far.shape == (150, 2) and np.abs(far).max() < 8.1 and np.std(far) > 4.0


def test_data_of_no_known_score_are_drawn_alone():
  experiment, state, _ = trained(config(**{"data.name": "moons", "total_steps": 1}))
  found = experiment.evaluate(state, base_key(0))
  assert "score" in found.images and "chains led by the true score" not in found.images
  assert not [name for name in found.scalars if "score" in name]


@pytest.mark.parametrize(
  "changes, words",
  [
    ({"loss": "slided"}, "sliced"),
    ({"sigma": 0.0}, "sigma"),
    ({"sample.step_size": 0.0}, "step_size"),
    ({"sample.num_steps": 0}, "num_steps"),
    ({"data.name": "digits"}, "plane"),
    ({"eval.dimensions": (1,)}, "dimensions"),
  ],
  ids=str,
)
def test_what_cannot_be_is_said_before_training(changes, words):
  with pytest.raises(ValueError, match=words):
    make(config(**changes))
