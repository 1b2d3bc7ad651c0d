"""What several of these tests share: a network of one number, and its training."""

import jax
import jax.numpy as jnp
import pytest

from jgm.core.program import base_key


class Line:
  """A network of one number, f(x) = w x, whose best w least squares know."""

  def init(self, key, x, t):
    return {"params": {"w": jnp.zeros(())}}

  def apply(self, variables, x, t, label=None, **options):
    return variables["params"]["w"] * x


@pytest.fixture
def line():
  return Line()


@pytest.fixture
def fit_line():
  """(experiment's module, config) -> w of `Line` in the network's place, trained."""

  def fit(module, config):
    config.data.batch_size = 256
    config.total_steps = 300
    config.optimizer.decay = "cosine"
    config.optimizer.learning_rate = 0.05
    config.optimizer.warmup_steps = 0
    config.optimizer.clip_norm = None
    experiment = module.make(config)
    arrays = experiment.data.arrays(0, config.total_steps)

    @jax.jit
    def run(state, arrays):
      def one(i, state):
        key = jax.random.fold_in(base_key(1), i)
        return experiment.step(state, experiment.data.batch(arrays, i), key)[0]

      return jax.lax.fori_loop(0, config.total_steps, one, state)

    state = run(jax.jit(experiment.init)(base_key(0), {}), arrays)
    return float(state.params["w"])

  return fit
