"""How much reward policies earn in whole episodes, beside one that knows nothing."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgm.core.experiment import Evaluation, Scalar
from jgm.core.state import Array, PyTree, TrainState
from jgm.environments import Environment, play
from jgm.eval.line_plot import line_plot
from jgm.eval.pictures import Picture

Act = Callable[[PyTree, Array, Array], Array]  # (params, observations, key) -> actions

KNOWS_NOTHING = "random"
POINTS = 51  # of a curve


class Episodes(NamedTuple):
  """N episodes that were played to their end."""

  observations: np.ndarray  # [N, T, ...], acted upon; of what comes after the end, too
  returns: np.ndarray  # [N]
  lengths: np.ndarray  # [N] int, in steps


def make_return_evaluation(
  environment: Environment,
  policies: Mapping[str, Act],
  *,
  solved: float,
  num_episodes: int,
  draw_episode: Callable[[np.ndarray], Picture],
) -> Callable[[TrainState, Array], Evaluation]:
  """The `evaluate` of a policy in an environment that pays 1 for each step.

  Args:
    environment: where.
    policies: name -> (params, observations [N, ...], key) -> actions [N]: ways to act
      by the same parameters. The first is the one that trains.
    solved: the mean return below which there is a warning.
    num_episodes: how many of each, N.
    draw_episode: observations [T, ...] of one episode -> its picture.

  Returns:
    (state, key) -> Evaluation. Each return stands between the greatest, the time limit,
    and that of actions drawn uniformly.

  Raises:
    ValueError: if no episode is to be played.
  """
  if num_episodes < 1:
    raise ValueError(f"config.eval.num_samples={num_episodes}: it is at least 1")
  everyone = {**policies, KNOWS_NOTHING: uniform(environment.num_actions)}

  @jax.jit
  def play_all(params: PyTree, key: Array) -> dict[str, Any]:
    keys = jax.random.split(key, len(everyone))
    return {
      name: finish(environment, act, params, key_of, num_episodes)
      for (name, act), key_of in zip(everyone.items(), keys, strict=True)
    }

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    played = {
      name: Episodes(*map(np.asarray, each))
      for name, each in play_all(state.params, key).items()
    }
    limit = environment.time_limit
    first = next(iter(policies))
    one = played[first].observations[0, : played[first].lengths[0]]
    images = {
      "one episode": draw_episode(one),
      "episodes that are still under way": survival_plot(played, limit),
    }
    scalars = return_scalars(played, limit)
    return Evaluation(scalars, images, warn_of_returns(scalars, solved))

  return evaluate


def uniform(num_actions: int) -> Act:
  """A policy that knows nothing: every action is as likely."""
  return lambda params, observation, key: jax.random.randint(
    key, observation.shape[:1], 0, num_actions
  )


def finish(environment: Environment, act: Act, params: PyTree, key: Array, n: int):
  """Observations, returns and lengths of n whole episodes."""
  policy = lambda observation, key: act(params, observation, key)
  transitions, mask = play(environment, policy, key, n)
  returns = jnp.sum(jnp.where(mask, transitions.reward, 0.0), axis=1)
  return transitions.observation, returns, jnp.sum(mask, axis=1)


def return_scalars(played: Mapping[str, Episodes], limit: int) -> dict[str, Scalar]:
  """The mean return of each policy but the last, which knows nothing."""
  *names, nothing = played
  ceiling = float(played[nothing].returns.mean())
  scalars = {}
  for name in names:
    returns, lengths = played[name].returns, played[name].lengths
    error = returns.std() / len(returns) ** 0.5
    note = (
      f"mean of {len(returns)} episodes, actions {name}; standard error {error:.2g}; "
      f"the least {returns.min():g}; {np.mean(lengths >= limit):.0%} reach the time "
      "limit; ceiling: actions at random"
    )
    value = float(returns.mean())
    scalars[f"return_{name}"] = Scalar(value, float(limit), ceiling, "higher", note)
  return scalars


def survival_plot(played: Mapping[str, Episodes], limit: int) -> Picture:
  """The share of episodes that are longer than so many steps, by policy."""
  steps = np.linspace(0, limit - 1, POINTS).astype(int)
  series = {
    name: (steps, [np.mean(each.lengths > step) for step in steps])
    for name, each in played.items()
  }
  return line_plot(
    series, x_label="steps", y_label="share of episodes that are longer than that"
  )


def warn_of_returns(scalars: Mapping[str, Scalar], solved: float) -> tuple[str, ...]:
  """Says so where a mean return is not what counts as solved."""
  return tuple(
    f"not solved: {name.replace('_', ' ')} is {scalar.value:.4g}, solved is {solved:g}"
    for name, scalar in scalars.items()
    if scalar.value < solved
  )
