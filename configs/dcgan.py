"""DCGAN: the default trains on digits in minutes on two cores.

python -m experiments.dcgan --config=configs/dcgan.py
"""

from ml_collections import ConfigDict

from configs.base import adversarial_config, long_run, smoke_game, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/dcgan.py: the paper's, then the preset's."""
  config = adversarial_config()
  config.loss = "non_saturating"  # a name in GAN_LOSSES
  config.noise_dimension = 100
  config.generator = {"channels": 64, "smallest": 4}
  config.critic = {"channels": 64, "smallest": 4, "norm": "batch"}
  return with_preset(config, preset, (digits, smoke, cifar10), default=digits)


def digits(config: ConfigDict) -> None:
  """The default: 8x8 digits; one and a half minutes on two cores."""
  config.total_steps = 3000
  config.ema_decay = 0.995
  config.noise_dimension = 32
  config.generator.update(channels=32, smallest=2)
  config.critic.update(channels=32, smallest=2)
  for optimizer in (config.generator_optimizer, config.critic_optimizer):
    optimizer.learning_rate = 1e-3


def smoke(config: ConfigDict) -> None:
  """Seconds: tiny networks and few steps, for tests."""
  smoke_game(config)
  config.generator.update(channels=8, smallest=2)
  config.critic.update(channels=8, smallest=2)


def cifar10(config: ConfigDict) -> None:
  """The paper's networks and rates on CIFAR-10; planned for a TPU v5e-8, an hour.

  Radford et al. 2016 train on other images, LSUN's bedrooms, at 64x64 and by Adam at
  2e-4 with b1 of 0.5, batches of 128 and uniform noise; they report no number for
  samples.
  """
  config.data.name = "cifar10"
  config.data.in_memory = True
  config.data.flip = True
  config.total_steps = 100_000
  config.noise = "uniform"
  config.generator.channels = 128
  long_run(config)
  config.checkpoint.every_steps = 10_000
  config.eval.every_steps = 20_000
  config.eval.num_samples = 50_000
