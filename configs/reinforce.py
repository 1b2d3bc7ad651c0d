"""REINFORCE: the default teaches a GPT to write vowels, in minutes on two CPU cores.

python -m experiments.reinforce --config=configs/reinforce.py
python -m experiments.reinforce --config=configs/reinforce.py:enumerable
"""

from ml_collections import ConfigDict

from configs.base import listed_completions, policy_config, smoke_policy, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/reinforce.py: the default's, then the preset's."""
  config = policy_config()
  presets = (vowels, learned, enumerable, smoke)
  return with_preset(config, preset, presets, default=vowels)


def vowels(config: ConfigDict) -> None:
  """The default: a GPT of CPython's documentation learns to write more vowels."""
  config.total_steps = 300
  config.data.batch_size = 64
  config.optimizer.learning_rate = 3e-4
  config.beta = 0.2


def learned(config: ConfigDict) -> None:
  """The same, but the reward is a model's that has learnt it from preferences."""
  vowels(config)
  config.reward_model.config = "configs/reward_model.py"


def enumerable(config: ConfigDict) -> None:
  """256 completions, all listed: the best policy is known, and no number has noise."""
  listed_completions(config)
  config.total_steps = 2000
  config.data.batch_size = 256
  config.optimizer.learning_rate = 3e-3
  config.optimizer.decay = "cosine"


def smoke(config: ConfigDict) -> None:
  """Seconds: a tiny network and few steps, for tests."""
  smoke_policy(config)
