"""Sinkhorn generative modelling: a linear generator finds the Gaussian it is shown."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from experiments import sinkhorn_gan
from jgm import ot
from jgm.cli.config import load_config
from jgm.core import Dataset
from jgm.core.program import base_key
from jgm.data.spec import DataSpec

MEAN, MIXING = np.array([1.0, -2.0], "f"), np.array([[1.0, 0.0], [0.5, 0.4]], "f")
STEPS, BATCH = 250, 256


class Affine(nn.Module):
  """x = z W + b, of noise in the plane."""

  shape: tuple[int, ...]
  bounds: tuple[float, float] | None = None
  dtype: type = jnp.float32

  @nn.compact
  def __call__(self, z):
    start = lambda key, shape, dtype: 0.1 * jnp.eye(2, dtype=dtype)
    return nn.Dense(2, kernel_init=start)(z)


def gaussian_data(name, *, batch_size, **options):
  def batch(arrays, step):
    z = jax.random.normal(jax.random.fold_in(jax.random.key(7), step), (batch_size, 2))
    return {"x": z @ MIXING + MEAN[None], "label": jnp.zeros(batch_size, jnp.int32)}

  spec = DataSpec((2,), None, -2, 2, 0, 100, 100)
  return Dataset(name, spec, batch_size, lambda first, number: {}, batch, None)


def config_of(**changes):
  config = load_config("configs/sinkhorn_gan.py:smoke")
  config.data.name = "gaussian_mixture"
  config.optimizer.flatten = False
  config.optimizer.warmup_steps = 0
  config.optimizer.learning_rate = 0.05
  config.optimizer.decay = "cosine"
  config.ema_decay = 0.9
  config.total_steps = STEPS
  config.data.batch_size = BATCH
  config.noise_dimension = 2
  config.update_from_flattened_dict(changes)
  return config


def trained(config):
  experiment = sinkhorn_gan.make(config)

  @jax.jit
  def run(state):
    def one(i, state):
      key = jax.random.fold_in(base_key(1), i)
      state = experiment.step(state, experiment.data.batch({}, i), key)[0]
      return state.replace(step=state.step + 1)

    return jax.lax.fori_loop(0, STEPS, one, state)

  state = run(jax.jit(experiment.init)(base_key(0), {}))
  return np.asarray(experiment.sample(state, base_key(2), 20_000))


def test_a_linear_generator_finds_the_gaussian(monkeypatch):
  """Also at an epsilon at which plain transport would shrink it: half the mean cost.

  Entropic transport alone is then least at a Gaussian much narrower than the data. The
  mean and the covariance of the data are known; what is left is the noise of the last
  minibatches, 256 points each, and of 20,000 samples.
  """
  monkeypatch.setattr(sinkhorn_gan, "make_dataset", gaussian_data)
  monkeypatch.setitem(sinkhorn_gan.GENERATORS, "dense", Affine)
  config = config_of(**{"transport.epsilon": 0.5})
  config.dense = type(config.dense)()
  samples = trained(config)
  np.testing.assert_allclose(samples.mean(axis=0), MEAN, atol=0.1)
  np.testing.assert_allclose(np.cov(samples.T), MIXING.T @ MIXING, atol=0.15)


def test_the_loss_is_the_divergence_of_samples_and_data():
  experiment = sinkhorn_gan.make(config_of(**{"data.name": "digits"}))
  state = jax.jit(experiment.init)(base_key(0), {})
  batch = {"x": jax.random.uniform(base_key(3), (16, 8, 8, 1), minval=-1.0)}
  _, metrics = jax.jit(experiment.step)(state, batch, base_key(1))
  # Samples of other noise: the value is nearly the same, as the generator is untrained.
  samples = experiment.sample(state, base_key(2), 16)
  flat = lambda x: jnp.reshape(x, (16, 64))
  expected = ot.sinkhorn_divergence(
    flat(samples), flat(batch["x"]), epsilon=0.2, relative=True
  )
  assert metrics["loss"] == pytest.approx(float(expected.value), rel=0.1)
  assert metrics["transport/converged"] == 1.0
  assert 1 <= metrics["transport/iterations"] <= 50


def test_images_stay_in_their_range():
  experiment = sinkhorn_gan.make(load_config("configs/sinkhorn_gan.py:smoke"))
  state = jax.jit(experiment.init)(base_key(0), {})
  far = jax.tree.map(lambda leaf: 50.0 * jnp.ones_like(leaf), state.ema_params)
  samples = experiment.sample(state.replace(ema_params=far), base_key(1), 5)
  assert float(jnp.abs(samples).max()) <= 1.0


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"cost": "squared_euclidian"}, "Did you mean 'squared_euclidean'"),
    ({"generator": "densest"}, "Did you mean 'dense'"),
    ({"noise": "gaussian"}, "config.noise"),
    ({"noise_dimension": 0}, "noise_dimension"),
    ({"transport.epsilon": 0.0}, "epsilon"),
  ],
)
def test_what_cannot_be_is_said_by_make(change, message):
  with pytest.raises(ValueError, match=message):
    sinkhorn_gan.make(config_of(**change))
