"""DPO: the default teaches a GPT to write vowels, in minutes on two cores.

python -m experiments.dpo --config=configs/dpo.py
python -m experiments.dpo --config=configs/dpo.py:enumerable
"""

from ml_collections import ConfigDict

from configs.base import listed_completions, policy_config, smoke_policy, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/dpo.py, then what the preset changes."""
  config = policy_config()
  config.loss = "dpo"  # or "ipo"
  config.label_smoothing = 0.0  # of "dpo": the share of choices that were flipped
  config.tau = 0.05  # of "ipo", as beta of "dpo": the KL's weight, probability per nat
  config.reduction = "sum"  # of log-probabilities over tokens; or "mean"
  presets = (vowels, learned, ipo, enumerable, enumerable_ipo, smoke)
  return with_preset(config, preset, presets, default=vowels)


def vowels(config: ConfigDict) -> None:
  """The default: a GPT learns to write more vowels; four minutes of processor time."""
  config.total_steps = 400
  config.data.batch_size = 32
  config.beta = 0.3
  config.optimizer.learning_rate = 5e-5  # more, and the policy leaves the text behind
  config.optimizer.decay = "cosine"


def learned(config: ConfigDict) -> None:
  """The same by a reward model, learnt from preferences; 400 steps, not timed."""
  vowels(config)
  config.reward_model.config = "configs/reward_model.py"


def ipo(config: ConfigDict) -> None:
  """The default by IPO's loss: 3.19 at 1.5 nats, where 2.67 was before; not timed."""
  vowels(config)
  config.loss = "ipo"


def enumerable(config: ConfigDict) -> None:
  """256 completions, all listed: the best policy is known; 56 seconds.

  Of processor time a seed, by benchmarks/README.md. No number of the evaluation has
  noise.
  """
  listed_completions(config)
  config.total_steps = 2000
  config.data.batch_size = 256
  config.optimizer.learning_rate = 3e-3
  config.optimizer.decay = "cosine"


def enumerable_ipo(config: ConfigDict) -> None:
  """The same by IPO's loss, with a best policy of its own; 55 seconds likewise."""
  enumerable(config)
  config.loss = "ipo"


def smoke(config: ConfigDict) -> None:
  """Seconds: a tiny network and few steps, for tests."""
  smoke_policy(config)
