"""Writes transitions of gymnasium's CartPole-v1, in float64.

In an environment of its own, once; the tests read only the arrays:

    pip install --no-deps -r benchmarks/requirements-gymnasium.txt
    python tests/references/gymnasium_cartpole.py

gymnasium computes in float64 and shows float32: what it computed is read from within.
"""

import hashlib
import json
import pathlib
import platform

import gymnasium
import numpy as np

OUTPUT = pathlib.Path(__file__).with_suffix(".npz")
TRANSITIONS = 1000
EPISODES = 20
# beyond the bounds of an episode, 2.4 and 0.21, so that a sixth of the steps terminate
SCALE = np.array([2.6, 3.0, 0.22, 3.0])


def random_transitions(environment, random):
  """Steps from anywhere, each as the first of an episode."""
  states = random.uniform(-SCALE, SCALE, (TRANSITIONS, 4))
  states = states.astype(np.float32).astype(np.float64)  # the same in both precisions
  actions = random.integers(0, 2, TRANSITIONS)
  rows = [transition(environment, *row) for row in zip(states, actions, strict=True)]
  next_states, rewards, terminated = (
    np.array(column) for column in zip(*rows, strict=True)
  )
  return {
    "states": states,
    "actions": actions,
    "next_states": next_states,
    "rewards": rewards,
    "terminated": terminated,
  }


def transition(environment, state, action):
  """One step from a state: the next one, the reward, whether it terminated."""
  environment.reset()
  environment.unwrapped.state = state
  _, reward, terminated, _, _ = environment.step(int(action))
  return environment.unwrapped.state, reward, terminated


def episode(environment, seed, action_of):
  """How an episode began, its steps, and how it ended."""
  environment.reset(seed=seed)
  start, ended, steps = environment.unwrapped.state.copy(), (False, False), 0
  while not any(ended):
    _, _, *ended, _ = environment.step(action_of(environment.unwrapped.state))
    steps += 1
  return start, environment.unwrapped.state.copy(), steps, *ended


def episodes(environment, action_of):
  """Whole episodes of a policy."""
  rows = [episode(environment, seed, action_of) for seed in range(EPISODES)]
  names = ("starts", "lasts", "lengths", "terminated", "truncated")
  columns = (np.array(column) for column in zip(*rows, strict=True))
  return dict(zip(names, columns, strict=True))


def balance(state):
  """Pushes to where the pole falls: reaches the time limit."""
  return int(0.1 * state[0] + 0.5 * state[1] + 10 * state[2] + 2 * state[3] > 0)


def lean(state):
  """Pushes by the angle alone: the pole falls."""
  return int(state[2] > 0)


def make_arrays():
  """Everything that is written: {name: array}."""
  environment = gymnasium.make("CartPole-v1")
  arrays = random_transitions(environment, np.random.default_rng(0))
  for name, action_of in (("balance", balance), ("lean", lean)):
    found = episodes(environment, action_of)
    arrays |= {f"{name}/{key}": value for key, value in found.items()}
  arrays["time_limit"] = np.array(environment.spec.max_episode_steps)
  arrays["reward_threshold"] = np.array(environment.spec.reward_threshold)
  return arrays


def main() -> None:
  """Writes the arrays, and beside them the versions and the hash."""
  np.savez(OUTPUT, **make_arrays())
  about = {
    "gymnasium": gymnasium.__version__,
    "numpy": np.__version__,
    "python": platform.python_version(),
    "sha256": hashlib.sha256(OUTPUT.read_bytes()).hexdigest(),
  }
  OUTPUT.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
  main()
