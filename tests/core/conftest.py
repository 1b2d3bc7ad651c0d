"""A whole experiment in a few lines: linear regression with noise on its inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jgm.core import Aux, Dataset, Experiment, gradient_step, new_state, with_ema

ARRAYS = {"x": np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)}


def toy_batch(arrays, step):
  return {"x": jax.lax.dynamic_slice_in_dim(arrays["x"], 16 * (step % 4), 16)}


def toy_objective(params, state, batch, key):
  noise = jax.random.normal(key, (16,))[: batch["x"].shape[0]]
  error = batch["x"] @ params["w"] + 0.1 * noise - 1.0
  return jnp.mean(error**2), Aux({"error": jnp.mean(error)})


@pytest.fixture
def toy():
  """(objective, tx, ema) -> Experiment."""

  def make(objective=toy_objective, tx=None, extra=(), batched_extra=None):
    tx = tx or optax.sgd(0.05)

    def init(key, pretrained):
      key_params, key_state = jax.random.split(key)
      params = {"w": jax.random.normal(key_params, (3,))}
      return new_state(key_state, params, tx.init(params), ema=True, extra=extra)

    return Experiment(
      data=Dataset("toy", None, 16, lambda step, n, rows=None: ARRAYS, toy_batch, None),
      init=init,
      step=with_ema(gradient_step(objective, tx), 0.9),
      evaluate=None,
      sample=None,
      batched_extra=batched_extra,
    )

  return make
