"""REINFORCE on a bandit with ten arms, in seconds.

python -m experiments.bandit --config=configs/bandit.py
python -m experiments.bandit --config=configs/bandit.py --config.baseline=none
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from configs.base import base_config, smoke_run, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/bandit.py, then what the preset changes."""
  config = base_config()
  del config.data, config.ema_decay  # there are no data, and nothing is averaged
  config.num_arms = 10
  config.mean = 4.0  # of the arms' means, which are N(mean, 1)
  config.scale = 1.0  # the standard deviation of an arm's rewards
  config.num_pulls = 1  # pulls of a step; under pmap, of each device's
  config.baseline = "average"  # or "none", "expected", "optimal": those in BASELINES
  config.gradient = "policy"  # or "natural"
  config.damping = 0.1  # of the natural gradient
  config.optimizer.update(algorithm="sgd", learning_rate=0.1, warmup_steps=0)
  del config.optimizer.clip_norm
  config.optimizer.clip_norm = placeholder(float)
  config.total_steps = 1000
  config.parallel.steps_per_call = 100
  config.log.every_steps = 20
  config.eval.num_samples = 10_000  # pulls from which a variance is estimated
  presets = (testbed, natural, smoke)
  return with_preset(config, preset, presets, default=testbed)


def testbed(config: ConfigDict) -> None:
  """The default: Sutton & Barto's figure 2.5, steps of 0.1 and a baseline; seconds."""


def natural(config: ConfigDict) -> None:
  """The natural gradient, of ten pulls at a time; seconds."""
  config.gradient = "natural"
  config.num_pulls = 10
  config.total_steps = 200


def smoke(config: ConfigDict) -> None:
  """Seconds: few arms and steps, for tests."""
  smoke_run(config)
  config.num_arms = 3
  config.num_pulls = 4
