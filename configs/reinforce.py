"""REINFORCE: the default teaches a GPT to write vowels, in minutes on two cores.

python -m experiments.reinforce --config=configs/reinforce.py
python -m experiments.reinforce --config=configs/reinforce.py:enumerable
"""

from ml_collections import ConfigDict

from configs.base import listed_completions, policy_config, smoke_policy, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/reinforce.py, then what the preset changes."""
  config = policy_config()
  presets = (vowels, learned, enumerable, smoke)
  return with_preset(config, preset, presets, default=vowels)


def vowels(config: ConfigDict) -> None:
  """The default: a GPT learns to write more vowels; three minutes of processor time."""
  config.total_steps = 300
  config.data.batch_size = 64
  config.optimizer.learning_rate = 3e-4
  config.beta = 0.2


def learned(config: ConfigDict) -> None:
  """The same by a reward model, learnt from preferences; 300 steps, not timed."""
  vowels(config)
  config.reward_model.config = "configs/reward_model.py"


def enumerable(config: ConfigDict) -> None:
  """256 completions, all listed: the best policy is known; 29 seconds.

  Of processor time a seed, by benchmarks/README.md. No number of the evaluation has
  noise.
  """
  listed_completions(config)
  config.total_steps = 2000
  config.data.batch_size = 256
  config.optimizer.learning_rate = 3e-3
  config.optimizer.decay = "cosine"


def smoke(config: ConfigDict) -> None:
  """Seconds: a tiny network and few steps, for tests."""
  smoke_policy(config)
