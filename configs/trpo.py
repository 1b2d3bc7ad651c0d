"""TRPO: the default teaches a GPT to write vowels, in minutes on two cores.

python -m experiments.trpo --config=configs/trpo.py
python -m experiments.trpo --config=configs/trpo.py:enumerable
"""

from ml_collections import ConfigDict

from configs.base import listed_completions, policy_config, smoke_policy, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/trpo.py, then what the preset changes."""
  config = policy_config()
  del config.optimizer  # the step's length is the trust region's
  config.trust_region = {
    "max_kl": 0.01,  # delta, nats of a completion
    "damping": 0.1,
    "iterations": 10,  # of the conjugate gradients
    "shrink": 0.5,  # the line search's
    "max_tries": 10,
  }
  presets = (vowels, learned, enumerable, smoke)
  return with_preset(config, preset, presets, default=vowels)


def vowels(config: ConfigDict) -> None:
  """The default: a GPT learns to write more vowels; five minutes of processor time."""
  config.total_steps = 40
  config.data.batch_size = 64
  config.trust_region.max_kl = 0.2
  config.beta = 0.2


def learned(config: ConfigDict) -> None:
  """The same by a reward model, learnt from preferences; 40 steps, not timed."""
  vowels(config)
  config.reward_model.config = "configs/reward_model.py"


def enumerable(config: ConfigDict) -> None:
  """256 completions, all listed: the best policy is known; 94 seconds.

  Of processor time a seed, by benchmarks/README.md. No number of the evaluation has
  noise.
  """
  listed_completions(config)
  config.total_steps = 150
  config.data.batch_size = 512
  config.trust_region.damping = 1e-3


def smoke(config: ConfigDict) -> None:
  """Seconds: a tiny network and few steps, for tests."""
  smoke_policy(config)
