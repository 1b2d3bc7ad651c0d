"""Environments: what a policy acts in, as pure functions."""

from jgm.environments.cartpole import CARTPOLE
from jgm.environments.environment import (
  Environment,
  Episodes,
  Policy,
  Transition,
  advance,
  begin,
  held_after_end,
  play,
  rollout,
)

__all__ = [
  "CARTPOLE",
  "Environment",
  "Episodes",
  "Policy",
  "Transition",
  "advance",
  "begin",
  "held_after_end",
  "play",
  "rollout",
]
