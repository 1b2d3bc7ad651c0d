"""Policies where all completions are listed: each method goes to its own optimum."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import dpo, gpt, ppo, reinforce, reward_model, trpo
from jgm.cli.config import load_config
from jgm.core.program import base_key

# Steps that take half of the reference's KL to the best policy, by small rollouts. How
# near they come in the end is benchmarks/exact_policies.py's to say; that the losses
# are least where they should be is shown without noise in tests/losses.
METHODS = {
  "reinforce": (reinforce, "enumerable", 600),
  "ppo": (ppo, "enumerable", 60),
  "trpo": (trpo, "enumerable", 60),
  "dpo": (dpo, "enumerable", 600),
  "ipo": (dpo, "enumerable_ipo", 600),
}


def tiny(name, **changes):
  """(experiment, steps) of a method with a smaller network and rollouts."""
  module, preset, num_steps = METHODS[name]
  config = load_config(f"configs/{module.__name__.split('.')[-1]}.py:{preset}")
  config.model.update(features=16, num_layers=1)
  config.data.batch_size = 128
  config.total_steps = num_steps
  config.ema_decay = 0.9
  if name == "trpo":
    config.data.batch_size = 512  # its steps have one length, whatever the noise
  else:
    config.optimizer.update(learning_rate=1e-2, warmup_steps=0)
  config.update_from_flattened_dict(changes)
  return module.make(config), num_steps


def run(experiment, num_steps):
  """The first state, the last one, and all metrics."""
  start = jax.jit(experiment.init)(base_key(0), {})

  @jax.jit
  def train(state):
    def one(state, i):
      key = jax.random.fold_in(base_key(1), i)
      state, metrics = experiment.step(state, experiment.data.batch({}, i), key)
      return state.replace(step=state.step + 1), metrics

    return jax.lax.scan(one, state, jnp.arange(num_steps))

  end, metrics = train(start)
  return start, end, metrics


@pytest.mark.parametrize("name", METHODS)
def test_each_method_goes_to_its_own_best_policy(name):
  experiment, num_steps = tiny(name)
  start, end, metrics = run(experiment, num_steps)
  before, after = (
    experiment.evaluate(state, base_key(2)).scalars for state in (start, end)
  )
  kl, kl_before = after["kl_to_optimum_nats"], before["kl_to_optimum_nats"]
  np.testing.assert_allclose(kl_before.value, kl.ceiling, rtol=1e-4)  # the reference
  assert kl.value < 0.5 * kl_before.value, (kl_before.value, kl.value)
  # what is frozen is so to the last bit, and each step has moved the policy
  chex.assert_trees_all_equal(start.extra, end.extra)
  assert all(np.all(np.isfinite(rows)) for rows in jax.tree.leaves(metrics))


def test_trpo_keeps_to_its_trust_region():
  experiment, _ = tiny("trpo")
  _, _, metrics = run(experiment, 5)
  assert np.all(metrics["step_kl_nats"] <= 0.01)
  assert np.all(metrics["step_kl_nats"] > 0)
  assert np.all(metrics["loss"] < 0)


def test_no_optimum_is_shown_where_it_would_be_another():
  """PPO with an entropy bonus, DPO with smoothed labels: other objectives."""
  for name, changes in (
    ("ppo", {"entropy_weight": 0.01}),
    ("dpo", {"label_smoothing": 0.1}),
  ):
    experiment, _ = tiny(name, **changes)
    state = jax.jit(experiment.init)(base_key(0), {})
    scalars = experiment.evaluate(state, base_key(2)).scalars
    assert "kl_to_optimum_nats" not in scalars


def test_the_mean_over_tokens_is_a_larger_beta():
  """DPO by means with beta is DPO by sums with beta / N, of which the optimum knows."""
  by_mean, _ = tiny("dpo", **{"reduction": "mean", "beta": 2.0})
  by_sum, _ = tiny("dpo", **{"reduction": "sum", "beta": 0.5})
  (_, means, _), (_, sums, _) = run(by_mean, 3), run(by_sum, 3)
  chex.assert_trees_all_close(means.params, sums.params, rtol=1e-4, atol=1e-5)
  floors = [
    experiment.evaluate(sums, base_key(2)).scalars["kl_to_optimum_nats"].value
    for experiment in (by_mean, by_sum)
  ]
  np.testing.assert_allclose(*floors, rtol=1e-4)


@pytest.mark.parametrize(
  ("module", "changes", "message"),
  [
    (gpt, {"data.context": 32}, "more than config.model.max_length"),
    (reinforce, {"data.context": 32}, "more than config.model.max_length"),
    (reinforce, {"data.context": 6}, "must be more than config.decoding"),
    (ppo, {"num_minibatches": 5}, "config.num_minibatches=5"),
    (ppo, {"decoding.temperature": 0.0}, "above 0"),
    (trpo, {"rule.letters": ""}, "names no letter"),
    (dpo, {"loss": "dppo"}, "Did you mean 'dpo'"),
    (reward_model, {"rule.name": "table"}, "lists every completion"),
  ],
)
def test_what_cannot_be_is_said_before_compilation(module, changes, message):
  name = module.__name__.split(".")[-1]
  config = load_config(f"configs/{name}.py:smoke")
  config.update_from_flattened_dict(changes)
  with pytest.raises(ValueError, match=message):
    module.make(config)
