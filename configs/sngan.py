"""SNGAN: the default trains on digits in minutes on two cores.

python -m experiments.sngan --config=configs/sngan.py
"""

from ml_collections import ConfigDict

from configs.base import adversarial_config, long_run, smoke_game, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/sngan.py: the paper's, then the preset's."""
  config = adversarial_config()
  config.loss = "hinge"  # a name in GAN_LOSSES
  config.n_critic = 5
  config.data.batch_size = 320  # 64 for each of the critic's steps
  config.noise_dimension = 128
  for optimizer in (config.generator_optimizer, config.critic_optimizer):
    optimizer.update(b1=0.0, b2=0.9, decay="linear")
  config.generator = {"channels": 256}
  config.critic = {"channels": 128}
  return with_preset(config, preset, (digits, smoke, cifar10), default=digits)


def digits(config: ConfigDict) -> None:
  """The default: 8x8 digits; 1,500 steps, not timed."""
  config.total_steps = 1500
  config.ema_decay = 0.99
  config.noise_dimension = 32
  config.n_critic = 2
  config.data.batch_size = 128
  config.generator.channels = 32
  config.critic.channels = 32
  for optimizer in (config.generator_optimizer, config.critic_optimizer):
    optimizer.learning_rate = 1e-3


def smoke(config: ConfigDict) -> None:
  """Seconds: tiny networks and few steps, for tests."""
  smoke_game(config)
  config.generator.channels = 8
  config.critic.channels = 8


def cifar10(config: ConfigDict) -> None:
  """The paper's CIFAR-10: FID 21.7, inception score 8.22; planned for a TPU v5e-8.

  Miyato et al. 2018, table 2, residual networks and the hinge loss: 100,000 steps of
  the generator, rates that fall linearly to 0. No average of the weights there.
  """
  config.data.name = "cifar10"
  config.data.in_memory = True
  config.data.flip = True
  config.total_steps = 100_000
  long_run(config)
  config.checkpoint.every_steps = 10_000
  config.eval.every_steps = 20_000
  config.eval.num_samples = 50_000
