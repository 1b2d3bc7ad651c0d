"""A reward model: the default learns a judge's taste in minutes on two cores.

python -m experiments.reward_model --config=configs/reward_model.py
"""

from ml_collections import ConfigDict

from configs.base import policy_config, smoke_policy, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/reward_model.py, then what the preset changes."""
  config = policy_config()
  del config.reward_model  # which is what this makes
  del config.beta
  config.label_smoothing = 0.0  # the share of choices that were flipped
  config.centering_weight = 0.01  # c: preferences alone leave the mean reward open
  presets = (vowels, smoke)
  return with_preset(config, preset, presets, default=vowels)


def vowels(config: ConfigDict) -> None:
  """The default: a judge who likes vowels; ten minutes of processor time."""
  config.total_steps = 1500
  config.data.batch_size = 32
  config.optimizer.decay = "cosine"


def smoke(config: ConfigDict) -> None:
  """Seconds: a tiny network and few steps, for tests."""
  smoke_policy(config)
