"""DCGAN: the default trains on digits in minutes on two CPU cores.

python -m experiments.dcgan --config=configs/dcgan.py
"""

from ml_collections import ConfigDict

from configs.base import adversarial_config, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/dcgan.py: the paper's, then what the preset changes."""
  config = adversarial_config()
  config.loss = "non_saturating"  # a name in GAN_LOSSES
  config.noise_dimension = 100
  config.generator = {"channels": 64, "smallest": 4}
  config.critic = {"channels": 64, "smallest": 4, "norm": "batch"}
  return with_preset(config, preset, (digits, smoke), default=digits)


def digits(config: ConfigDict) -> None:
  """The default: 8x8 digits."""
  config.total_steps = 3000
  config.ema_decay = 0.995
  config.noise_dimension = 32
  config.generator.update(channels=32, smallest=2)
  config.critic.update(channels=32, smallest=2)
  for optimizer in (config.generator_optimizer, config.critic_optimizer):
    optimizer.learning_rate = 1e-3


def smoke(config: ConfigDict) -> None:
  """Seconds: tiny networks and few steps, for tests."""
  config.total_steps = 8
  config.data.batch_size = 32
  config.n_critic = 2
  config.noise_dimension = 4
  config.generator.channels = 8
  config.critic.channels = 8
  config.sample.chunk_size = 16
  config.parallel.steps_per_call = 4
  config.log.every_steps = 4
  config.checkpoint.every_steps = 4
  config.eval.num_samples = 32
  config.eval.net_steps = 20
