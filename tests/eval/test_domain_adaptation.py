"""The trainings that adaptation is measured beside."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jgm.cli.config import load_config
from jgm.core import Aux, Experiment, gradient_step, new_state, with_ema
from jgm.eval.domain_adaptation import trained


def experiment():
  tx = optax.sgd(0.1)

  def objective(params, state, batch, key):
    return jnp.sum(params["w"] ** 2) / 2, Aux()

  def init(key, pretrained):
    params = {"w": jnp.ones(3)}
    return new_state(key, params, tx.init(params), ema=True)

  step = with_ema(gradient_step(objective, tx), 0.0)
  return Experiment(None, init, step, None, None)


def test_on_one_device_each_of_several_processes_trains_for_itself(monkeypatch):
  """As where it is evaluated: two processes, of which this one has all devices."""
  config = load_config("configs/dann.py:smoke", ["parallel.data_devices=1"])
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  found = trained(experiment(), config)
  np.testing.assert_allclose(found["w"], 0.9**config.total_steps, rtol=1e-6)
  config.parallel.data_devices = 2
  with pytest.raises(ValueError, match="leaves out some of 2 processes"):
    trained(experiment(), config)
