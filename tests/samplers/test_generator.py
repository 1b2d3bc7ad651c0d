"""Samples of a generator: settled statistics, chunks, classes, and the noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jgm.core import new_state
from jgm.models.stateful import init_stateful, stateful
from jgm.samplers.generator import PRIORS, make_generator_sampling, normal

DIMENSION, CHUNK = 3, 100


class Normalised(nn.Module):
  """z W + b, then batch normalisation: of z ~ N(0, I) its statistics are known."""

  @nn.compact
  def __call__(self, z, train=False):
    y = nn.Dense(2, bias_init=nn.initializers.constant(4.0))(z)
    norm = nn.BatchNorm(
      use_running_average=not train, momentum=0.9, use_bias=False, use_scale=False
    )
    return norm(y)


class OfClass(nn.Module):
  """The class as a number, and that number normalised."""

  @nn.compact
  def __call__(self, z, label, train=False):
    y = jnp.stack([label.astype(z.dtype)], axis=1)
    norm = nn.BatchNorm(
      use_running_average=not train,
      momentum=0.9,
      epsilon=0.0,
      use_bias=False,
    )
    return jnp.concatenate([y, norm(y)], axis=1)


def state_of(model, *inputs, mean=0.0, variance=1.0):
  """Its average is as it begins; the weights in training are NaN and may not be used.

  The stored statistics are `mean` and `variance`.
  """
  params, model_state = init_stateful(model, jax.random.key(0), *inputs)
  stored = {"mean": mean, "var": variance}
  model_state = jax.tree_util.tree_map_with_path(
    lambda path, leaf: jnp.full_like(leaf, stored[path[-1].key]), model_state
  )
  state = new_state(
    jax.random.key(1),
    {"generator": params},
    {},
    model_state={"generator": model_state},
    ema="generator",
  )
  nan = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), state.params)
  return state.replace(params=nan)


def sampling_of(model, **options):
  options = {"chunk_size": CHUNK, **options}
  return make_generator_sampling(stateful(model), normal(DIMENSION), **options)


def exact(state, z):
  """What `Normalised` makes of z where its statistics are those of N(0, I)."""
  kernel = np.asarray(state.ema_params["generator"]["Dense_0"]["kernel"])
  return np.asarray(z) @ kernel / np.sqrt((kernel**2).sum(axis=0) + 1e-5)[None]


def test_settled_statistics_are_those_of_the_averaged_network(key):
  """Its mean is b = 4 and its variance the squared norm of each column of W.

  An average at a momentum of 0.9 over batches of 100 is as good as one of 1900 noises:
  the mean is within 0.023 deviations, the scale within 0.016. Of what was stored 0.5%
  are left. So the tolerance, 0.12 at |y| <= 2, is above four of these errors.
  """
  z = jnp.clip(jax.random.normal(key, (7, DIMENSION)), -1, 1)
  state = state_of(Normalised(), z, mean=-1.0, variance=3.0)
  draw = sampling_of(Normalised()).draw(state, jax.random.key(2))
  np.testing.assert_allclose(draw(z, jnp.zeros(7)), exact(state, z), atol=0.12)


def test_what_training_stored_is_forgotten(key):
  z = jax.random.normal(key, (7, DIMENSION))
  sampling = sampling_of(Normalised(), settling_passes=200)
  near, far = (
    sampling.sample(
      state_of(Normalised(), z, mean=mean, variance=variance), jax.random.key(2), 7
    )
    for mean, variance in ((0.0, 1.0), (30.0, 1000.0))
  )
  np.testing.assert_allclose(near, far, rtol=1e-4, atol=1e-5)
  assert float(jnp.abs(near).max()) < 5


def test_an_example_does_not_depend_on_the_others_of_its_chunk(key):
  z = jax.random.normal(key, (9, DIMENSION))
  state = state_of(Normalised(), z)
  draw = sampling_of(Normalised()).draw(state, jax.random.key(2))
  alone = draw(z[:1], jnp.zeros(1))
  np.testing.assert_allclose(draw(z, jnp.zeros(9))[:1], alone, rtol=1e-5, atol=1e-5)


def test_samples_have_the_distribution_that_the_network_gives_them(key):
  """Columns of deviation 1, correlated as those of W are; means within 4 / sqrt(N)."""
  n = 1050  # in chunks of 100, the last one half filled
  state = state_of(Normalised(), jnp.zeros((1, DIMENSION)), mean=7.0)
  x = np.asarray(sampling_of(Normalised()).sample(state, key, n))
  kernel = np.asarray(state.ema_params["generator"]["Dense_0"]["kernel"])
  unit = kernel / np.linalg.norm(kernel, axis=0)
  assert x.shape == (n, 2) and len(np.unique(x[:, 0])) == n
  np.testing.assert_allclose(x.mean(axis=0), np.zeros(2), atol=0.2)
  np.testing.assert_allclose(np.cov(x.T), unit.T @ unit, atol=0.2)


class Cubed(nn.Module):
  """A network without statistics."""

  @nn.compact
  def __call__(self, z, train=False):
    return nn.Dense(2)(z**3)


def test_samples_in_chunks_are_the_samples_at_once():
  state = state_of(Cubed(), jnp.zeros((1, DIMENSION)))
  at_once, in_chunks = (
    sampling_of(Cubed(), chunk_size=size).sample(state, jax.random.key(2), 11)
    for size in (11, 4)
  )
  np.testing.assert_allclose(at_once, in_chunks, rtol=1e-6, atol=1e-6)


def test_without_statistics_nothing_is_run_in_training_mode(key):
  def generate(params, model_state, z, train):
    assert not train
    return stateful(Cubed())(params, model_state, z, train=train)

  state = state_of(Cubed(), jnp.zeros((1, DIMENSION)))
  sampling = make_generator_sampling(generate, normal(DIMENSION), chunk_size=4)
  assert sampling.sample(state, key, 3).shape == (3, 2)


def test_classes_come_in_turn_or_as_asked_for():
  """Also in the passes that settle: of the classes 0, 1, 2, 3 the mean is 3 / 2."""
  state = state_of(OfClass(), jnp.zeros((1, DIMENSION)), jnp.zeros(1, jnp.int32))
  sampling = sampling_of(OfClass(), num_classes=4, settling_passes=100)
  x = np.asarray(sampling.sample(state, jax.random.key(2), 7))
  label = np.array([0, 1, 2, 3, 0, 1, 2])
  np.testing.assert_array_equal(x[:, 0], label)
  np.testing.assert_allclose(x[:, 1], (label - 1.5) / np.sqrt(1.25), atol=1e-3)
  threes = np.asarray(sampling.sample(state, jax.random.key(2), 5, class_label=3))
  np.testing.assert_array_equal(threes[:, 0], np.full(5, 3))
  np.testing.assert_allclose(threes[:, 1], np.full(5, x[3, 1]), rtol=1e-5)


def test_a_class_that_there_is_not_is_refused():
  state = state_of(Cubed(), jnp.zeros((1, DIMENSION)))
  with pytest.raises(ValueError, match="trained without classes"):
    sampling_of(Cubed()).sample(state, jax.random.key(2), 2, class_label=1)
  state = state_of(OfClass(), jnp.zeros((1, DIMENSION)), jnp.zeros(1, jnp.int32))
  with pytest.raises(ValueError, match="0 to 3"):
    sampling_of(OfClass(), num_classes=4).sample(
      state, jax.random.key(2), 2, class_label=4
    )


@pytest.mark.parametrize(
  ("name", "variance", "most"), [("normal", 1, 6), ("uniform", 1 / 3, 1)]
)
def test_noise_has_the_moments_of_its_name(name, variance, most, key):
  """20,000 numbers: their mean within 0.03, their variance within 5%."""
  z = np.asarray(PRIORS[name](5)(key, 4000))
  assert z.shape == (4000, 5) and np.abs(z).max() <= most
  assert abs(z.mean()) < 0.03
  assert z.var() == pytest.approx(variance, rel=0.05)
  assert z.min() < -0.99 * min(most, 2)
