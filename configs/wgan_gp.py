"""WGAN-GP: the default trains on digits in minutes on two cores.

python -m experiments.wgan_gp --config=configs/wgan_gp.py
"""

from ml_collections import ConfigDict

from configs.base import adversarial_config, long_run, smoke_game, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/wgan_gp.py: the paper's, then the preset's."""
  config = adversarial_config()
  config.penalty_weight = 10.0  # lambda
  config.n_critic = 5
  config.data.batch_size = 320  # 64 for each of the critic's steps
  config.noise_dimension = 128
  for optimizer in (config.generator_optimizer, config.critic_optimizer):
    optimizer.update(learning_rate=1e-4, b1=0.0, b2=0.9)
  config.generator = {"channels": 64, "smallest": 4}
  config.critic = {
    "channels": 64,
    "smallest": 4,
    "norm": "layer",
  }  # or "none"; never "batch"
  return with_preset(config, preset, (digits, smoke, cifar10), default=digits)


def digits(config: ConfigDict) -> None:
  """The default: 8x8 digits; two minutes on two cores."""
  config.total_steps = 2000
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
  """CIFAR-10 with DCGAN's networks; planned for a TPU v5e-8, hours.

  Gulrajani et al. 2017, by their code for it: 200,000 steps of 64, Adam at 1e-4 with b1
  of 0.5, no normalisation in the critic. Their inception score of 7.86 is of residual
  networks, as experiments/sngan.py has them.
  """
  config.data.name = "cifar10"
  config.data.in_memory = True
  config.data.flip = True
  config.total_steps = 200_000
  config.generator.channels = 128
  config.critic.channels = 128
  config.critic.norm = "none"
  for optimizer in (config.generator_optimizer, config.critic_optimizer):
    optimizer.b1 = 0.5
  long_run(config)
  config.checkpoint.every_steps = 10_000
  config.eval.every_steps = 20_000
  config.eval.num_samples = 50_000
