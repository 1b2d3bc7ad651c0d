"""PPO: the default teaches a GPT to write vowels, in minutes on two cores.

python -m experiments.ppo --config=configs/ppo.py
python -m experiments.ppo --config=configs/ppo.py:enumerable
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from configs.base import listed_completions, policy_config, smoke_policy, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/ppo.py, then what the preset changes."""
  config = policy_config()
  config.optimizer.warmup_steps = 50  # updates: a step has num_epochs x num_minibatches
  config.discount = 1.0  # gamma
  config.gae_lambda = 0.95
  config.clip = 0.2  # of the ratio of policies
  config.value_clip = placeholder(float)  # of the value's move, in rewards; None: none
  config.value_weight = 0.5
  config.entropy_weight = 0.0
  config.standardise = True  # the advantages of a rollout
  config.num_epochs = 2  # over each rollout
  config.num_minibatches = 4
  presets = (vowels, learned, enumerable, smoke)
  return with_preset(config, preset, presets, default=vowels)


def vowels(config: ConfigDict) -> None:
  """The default: a GPT learns to write more vowels; three minutes of processor time."""
  config.total_steps = 100
  config.data.batch_size = 64
  config.optimizer.learning_rate = 3e-4
  config.beta = 0.2


def learned(config: ConfigDict) -> None:
  """The same by a reward model, learnt from preferences; 100 steps, not timed.

  Measured: the vowels' reward, which it is not told, 3.37 at 9.0 nats; 2.67 before.
  """
  vowels(config)
  config.reward_model.config = "configs/reward_model.py"


def enumerable(config: ConfigDict) -> None:
  """256 completions, all listed: the best policy is known; 19 seconds.

  Of processor time a seed, by benchmarks/README.md. No number of the evaluation has
  noise.
  """
  listed_completions(config)
  config.total_steps = 200
  config.data.batch_size = 512
  config.gae_lambda = 1.0
  config.optimizer.decay = "cosine"


def smoke(config: ConfigDict) -> None:
  """Seconds: a tiny network and few steps, for tests."""
  smoke_policy(config)
