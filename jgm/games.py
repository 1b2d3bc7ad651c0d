"""Games of a generator and a critic on one state: what their experiments share.

The objectives and the players' steps are each experiment's own.
"""

from collections.abc import Mapping
from typing import Any

import jax
import optax
from flax import linen as nn

from jgm.core import Step, make_optimizer, new_state, repeat
from jgm.core.collectives import DATA_AXIS
from jgm.core.state import Array, TrainState
from jgm.data.slices import slices
from jgm.models.stateful import init_stateful


def replica_axis(strategy: str) -> str | None:
  """The axis that batch statistics are averaged over: pmap's; under jit there is none.

  Args:
    strategy: `config.parallel.strategy`.
  """
  return DATA_AXIS if strategy == "pmap" else None


def game_optimizers(
  *,
  generator: Mapping[str, Any],
  critic: Mapping[str, Any],
  total_steps: int,
  n_critic: int,
) -> dict[str, optax.GradientTransformation]:
  """Each player's optimiser; its schedule counts the player's own steps.

  Args:
    generator: keywords of `make_optimizer`.
    critic: keywords of `make_optimizer`.
    total_steps: the outer steps of training, one of the generator in each.
    n_critic: the critic's steps in each.

  Returns:
    {"generator": ..., "critic": ...}.
  """
  return {
    "generator": make_optimizer(total_steps=total_steps, **generator),
    "critic": make_optimizer(total_steps=total_steps * n_critic, **critic),
  }


def init_game(
  players: Mapping[str, tuple[nn.Module, tuple[Any, ...]]],
  tx: Mapping[str, optax.GradientTransformation],
  key: Array,
) -> TrainState:
  """A state at step 0 that averages the generator's parameters alone.

  Args:
    players: {player: (network, examples of its inputs)}.
    tx: each player's optimiser.
    key: typed key [].

  Returns:
    The TrainState, its fields by player.
  """
  key_players, key_state = jax.random.split(key)
  params, model_state = {}, {}
  keys = jax.random.split(key_players, len(players))
  for one, (player, (model, inputs)) in zip(keys, players.items(), strict=True):
    params[player], model_state[player] = init_stateful(model, one, *inputs)
  opt_state = {player: tx[player].init(params[player]) for player in players}
  return new_state(
    key_state, params, opt_state, model_state=model_state, ema="generator"
  )


def alternate(critic_step: Step, generator_step: Step, *, n_critic: int) -> Step:
  """A step of `n_critic` steps of the critic, then one of the generator.

  Args:
    critic_step: takes one slice of the batch at a time.
    generator_step: takes the last of these, of which it needs the size and the labels.
    n_critic: the slices; see `slices`.

  Returns:
    A Step with the metrics of both, the critic's averaged. No key is used by both.
  """
  critic_steps = repeat(critic_step)

  def each_player(state, batch, key):
    key_critic, key_generator = jax.random.split(key)
    batches = slices(batch, n_critic)
    state, critic_metrics = critic_steps(state, batches, key_critic)
    last = jax.tree.map(lambda rows: rows[-1], batches)
    state, generator_metrics = generator_step(state, last, key_generator)
    return state, {**critic_metrics, **generator_metrics}

  return each_player
