"""Improved DDPM: what trains the mean, what trains the variance, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import improved_ddpm
from jgm.cli.config import load_config
from jgm.noise import cosine_schedule


def smoke(**changes):
  config = load_config("configs/improved_ddpm.py:smoke")
  config.optimizer.algorithm = "sgd"
  config.optimizer.flatten = False
  config.optimizer.warmup_steps = 0
  config.optimizer.clip_norm = 1e9
  config.optimizer.learning_rate = 0.1
  for name, value in changes.items():
    config[name] = value
  return config


def after_one_step(config):
  """The last convolution's (kernel, bias) before and after, mean first, then v."""
  experiment = improved_ddpm.make(config)
  state = jax.jit(lambda key: experiment.init(key, {}))(jax.random.key(0))
  batch = {
    "x": jax.random.uniform(jax.random.key(1), (8, 8, 8, 1), minval=-1.0),
    "label": jnp.arange(8),
  }
  after, _ = jax.jit(experiment.step)(state, batch, jax.random.key(2))
  (kernel,) = [
    leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(after.params["last"])
    if leaf.ndim > 1
  ]
  return np.asarray(kernel)  # it starts at zero


def test_the_bound_trains_the_variance_alone():
  simple, hybrid = (after_one_step(smoke(bound_weight=w)) for w in (0.0, 1.0))
  assert simple.shape[-1] == 2
  assert np.abs(simple[..., 0]).max() > 0 and not simple[..., 1].any()
  np.testing.assert_allclose(hybrid[..., 0], simple[..., 0], rtol=1e-5, atol=1e-8)
  assert np.abs(hybrid[..., 1]).max() > 0


def test_the_network_begins_in_the_middle_of_the_two_variances():
  experiment = improved_ddpm.make(smoke())
  state = jax.jit(lambda key: experiment.init(key, {}))(jax.random.key(0))
  batch = {"x": jnp.zeros((4, 8, 8, 1)), "label": jnp.arange(4)}
  _, metrics = jax.jit(experiment.step)(state, batch, jax.random.key(1))
  assert metrics["variance"] == pytest.approx(0.5)


def test_the_first_noise_is_about_a_grey_level_as_the_paper_has_it():
  """sqrt(beta_0) slightly below the size of a bin, where the decoder takes over."""
  config = load_config("configs/improved_ddpm.py")
  spec = improved_ddpm.make(config).data.spec
  schedule = cosine_schedule(config.num_timesteps, **config.schedules.cosine)
  size = (spec.high - spec.low) / (spec.levels - 1)
  assert 0.75 * size < schedule.sigma(0) < size


def test_an_offset_reaches_the_schedule():
  bounds = []
  for offset in (0.008, 0.07):
    config = smoke()
    config.schedules.cosine = {"offset": offset, "normalise": False}
    experiment = improved_ddpm.make(config)
    state = jax.jit(lambda key, e=experiment: e.init(key, {}))(jax.random.key(0))
    batch = {"x": jnp.zeros((4, 8, 8, 1)), "label": jnp.arange(4)}
    bounds.append(experiment.log_prob.fn(state, batch, jax.random.key(1)))
  assert not np.allclose(*bounds, rtol=1e-2)


@pytest.mark.parametrize("sampler", ["ddim", "ancestral"])
def test_samplers_that_know_no_variance_are_not_shown_it(sampler):
  config = smoke()
  config.samplers.ancestral.variance = "large"
  experiment = improved_ddpm.make(config)
  state = jax.jit(lambda key: experiment.init(key, {}))(jax.random.key(0))
  samples = experiment.sample(state, jax.random.key(1), 3, sampler=sampler)
  assert samples.shape == (3, 8, 8, 1) and np.isfinite(samples).all()


def test_the_learned_variance_is_sampled_with():
  learned = smoke()
  large = smoke()
  large.samplers.ancestral.variance = "large"
  drawn = []
  for config in (learned, large):
    experiment = improved_ddpm.make(config)
    state = jax.jit(lambda key, e=experiment: e.init(key, {}))(jax.random.key(0))
    # v = 1, the large variance, whatever the image: the last bias
    bias = state.ema_params["last"]
    last = jax.tree.map(
      lambda leaf: leaf.at[1].set(1.0) if leaf.ndim == 1 else leaf, bias
    )
    state = state.replace(ema_params={**state.ema_params, "last": last})
    drawn.append(np.asarray(experiment.sample(state, jax.random.key(1), 3)))
  np.testing.assert_allclose(drawn[0], drawn[1], atol=1e-4)


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_a_weight_that_is_none_is_refused(weight):
  with pytest.raises(ValueError, match="bound_weight"):
    improved_ddpm.make(smoke(bound_weight=weight))


def test_data_without_grey_levels_are_refused():
  config = smoke()
  config.data.name = "moons"
  with pytest.raises(ValueError, match="no grey levels"):
    improved_ddpm.make(config)
