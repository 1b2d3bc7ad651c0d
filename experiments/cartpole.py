"""PPO: a policy learns to balance a pole, in steps that stay near the policy before.

Schulman et al. 2017, "Proximal policy optimization algorithms"; the advantages are of
Schulman et al. 2016, "High-dimensional continuous control using generalized advantage
estimation".
https://arxiv.org/abs/1707.06347 https://arxiv.org/abs/1506.02438

    A_t = delta_t + gamma lambda A_t+1                               GAE eq. 16
    delta_t = r_t + gamma V(s_t+1) - V(s_t)                          GAE section 3
    L_clip = E min(A ratio, A clip(ratio, 1 - c, 1 + c))             PPO eq. 7
    loss = -L_clip + w_V E (V - V_target)^2 / 2 - w_H E H            PPO eq. 9

with ratio = pi(a|s) / pi_old(a|s), the targets V_target = A + V_old and the entropy H
of pi.

    python -m experiments.cartpole --config=configs/cartpole.py

A step is a rollout of all environments, which live in the state, and some epochs over
it. Where the time limit cut an episode short, the value of where it came to stands for
the rest; where it terminated, nothing does.

Measured, over 100 whole episodes: a return of 500 of 500, all of them to the end, of
each of 8 seeds, by actions that are drawn and by the likeliest ones; at random it is 22
and solved is 475. With a learning rate of 1e-3 and gradients clipped at 0.5, the 8
seeds ended between 372 and 500 by actions that are drawn, and at 500 by the likeliest.
Ten seconds of processor time, compilation included.
"""

import functools

import jax
import jax.numpy as jnp
import optax
from einops import rearrange

from jgm import cli
from jgm.core import (
  Aux,
  Experiment,
  gradient_step,
  make_optimizer,
  new_state,
  pmean,
  repeat,
)
from jgm.environments import CARTPOLE, begin, held_after_end, play, rollout
from jgm.environments.cartpole import SOLVED
from jgm.eval.cartpole import draw_episode
from jgm.eval.returns import make_return_evaluation
from jgm.losses.advantage import generalized_advantages
from jgm.losses.kl import entropy, k3
from jgm.losses.policy import ppo_policy_loss
from jgm.losses.regression import squared_error
from jgm.models.mlp import MLP
from jgm.policy.advantages import standardised


def make(config) -> Experiment:
  """The method, bound to a config."""
  if config.num_steps % config.num_minibatches:
    raise ValueError(
      f"config.num_minibatches={config.num_minibatches} does not divide "
      f"config.num_steps={config.num_steps}"
    )
  actor = MLP(out_features=CARTPOLE.num_actions, dtype=config.dtype, **config.model)
  critic = MLP(out_features=1, dtype=config.dtype, **config.model)
  num_updates = config.total_steps * config.num_epochs * config.num_minibatches
  tx = make_optimizer(total_steps=num_updates, **config.optimizer)

  def logits_of(params, observation):
    """The policy's logits [B, A] for observations [B, O]."""
    return actor.apply({"params": params["policy"]}, observation)

  def value_of(params, observation):
    """V [B] of observations [B, O]."""
    return critic.apply({"params": params["value"]}, observation)[:, 0]

  def drawn(params, observation, key):
    """Actions [B] of the policy."""
    return jax.random.categorical(key, logits_of(params, observation))

  def objective(params, state, batch, key):
    logits = logits_of(params, batch["observation"])
    logp = log_prob(logits, batch["action"])
    policy_loss = ppo_policy_loss(
      logp, batch["logp"], batch["advantage"], clip=config.clip
    )
    value_loss = squared_error(value_of(params, batch["observation"]), batch["target"])
    metrics = {
      "value_loss": jnp.mean(value_loss) / 2,
      "entropy_nats": jnp.mean(entropy(logits)),
      "kl_from_old_nats": jnp.mean(k3(batch["logp"], logp)),
    }
    loss = jnp.mean(policy_loss) + config.value_weight * metrics["value_loss"]
    return loss - config.entropy_weight * metrics["entropy_nats"], Aux(metrics)

  minibatch_step = gradient_step(objective, tx)

  def epoch(state, batch, key):
    key_order, key_steps = jax.random.split(key)
    batches = minibatches(batch, key_order, config.num_minibatches)
    return repeat(minibatch_step)(state, batches, key_steps)

  epochs = repeat(epoch, config.num_epochs)

  def step(state, batch, key):
    key_rollout, key_epochs = jax.random.split(key)
    policy = functools.partial(drawn, state.params)
    episodes, seen = rollout(
      CARTPOLE, policy, state.extra, key_rollout, config.num_steps
    )
    metrics = episode_metrics(seen)
    state, losses = epochs(state, targets(state.params, seen), key_epochs)
    return state.replace(extra=episodes), {**losses, **metrics}

  def targets(params, seen):
    """What is learnt from transitions [B, T], by the parameters that made them."""
    over_time = lambda of: jax.vmap(functools.partial(of, params), 1, 1)
    values = over_time(value_of)(seen.observation)
    advantages = generalized_advantages(
      seen.reward,
      jnp.where(seen.terminated, 0.0, config.discount),
      values,
      over_time(value_of)(seen.next_observation),
      lambda_=config.gae_lambda,
      ends=seen.ended,
    )
    return {
      "observation": seen.observation,
      "action": seen.action,
      "logp": log_prob(over_time(logits_of)(seen.observation), seen.action),
      "advantage": standardised(advantages, jnp.ones_like(advantages)),
      "target": advantages + values,
    }

  def init(key, pretrained):
    key_policy, key_value, key_episodes, key_state = jax.random.split(key, 4)
    x = jnp.zeros((1, CARTPOLE.observation_size))
    params = {
      "policy": actor.init(key_policy, x)["params"],
      "value": critic.init(key_value, x)["params"],
    }
    episodes = begin(CARTPOLE, key_episodes, config.num_environments)
    return new_state(key_state, params, tx.init(params), extra=episodes)

  # What follows plays whole episodes, by actions that are drawn or the likeliest.

  def likeliest(params, observation, key):
    return jnp.argmax(logits_of(params, observation), axis=-1)

  def sample(state, key, n, *, greedy: bool = False):
    """Observations after each step, [n, 500, 4]; the last one stays, once it ended."""
    policy = functools.partial(likeliest if greedy else drawn, state.params)
    return held_after_end(*play(CARTPOLE, policy, key, n))

  evaluate = make_return_evaluation(
    CARTPOLE,
    {"drawn": drawn, "likeliest": likeliest},
    solved=SOLVED,
    num_episodes=config.eval.num_samples,
    draw_episode=draw_episode,
  )
  all_batched = lambda extra: jax.tree.map(lambda _: True, extra)
  return Experiment(None, init, step, evaluate, sample, batched_extra=all_batched)


def log_prob(logits, action):
  """log pi(action): [...] of logits [..., A]."""
  return -optax.softmax_cross_entropy_with_integer_labels(logits, action)


def minibatches(batch, key, n):
  """Leaves [B, T, ...] as [n, B T / n, ...]: each has other times of each row.

  So of rows that are spread over devices, none has to move.
  """
  rows, times = batch["action"].shape
  order = jnp.broadcast_to(jnp.arange(times), (rows, times))
  order = jax.random.permutation(key, order, axis=1, independent=True)
  shuffle = jax.vmap(lambda leaf, order: leaf[order])
  cut = lambda leaf: rearrange(shuffle(leaf, order), "b (n t) ... -> n (b t) ...", n=n)
  return jax.tree.map(cut, batch)


def episode_metrics(seen):
  """Of the episodes that ended in a rollout; NaN if none did."""
  ended = seen.ended.astype(jnp.float32)
  total, count = pmean((jnp.sum(ended * seen.total_reward), jnp.sum(ended)))
  return {"episode/return": total / count}


if __name__ == "__main__":
  cli.main(make)
