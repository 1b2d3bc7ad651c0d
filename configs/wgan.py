"""WGAN: the default trains on digits in minutes on two cores.

python -m experiments.wgan --config=configs/wgan.py
"""

from ml_collections import ConfigDict

from configs.base import adversarial_config, long_run, smoke_game, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/wgan.py: the paper's, then the preset's."""
  config = adversarial_config()
  config.clip = 0.01  # c: every weight of the critic stays in [-c, c]
  config.n_critic = 5
  config.data.batch_size = 320  # 64 for each of the critic's steps
  config.noise_dimension = 100
  for optimizer in (config.generator_optimizer, config.critic_optimizer):
    # RMSProp, as Adam with b1 = 0: it differs in the correction of the bias only
    optimizer.update(learning_rate=5e-5, b1=0.0, b2=0.99)
  config.generator = {"channels": 64, "smallest": 4}
  config.critic = {"channels": 64, "smallest": 4, "norm": "none"}  # or "batch", "layer"
  return with_preset(config, preset, (digits, smoke, cifar10), default=digits)


def digits(config: ConfigDict) -> None:
  """The default: 8x8 digits; two minutes on two cores."""
  config.total_steps = 2000
  config.ema_decay = 0.995
  config.noise_dimension = 32
  config.generator.update(channels=32, smallest=2)
  config.critic.update(channels=32, smallest=2)
  for optimizer in (config.generator_optimizer, config.critic_optimizer):
    optimizer.learning_rate = 5e-4


def smoke(config: ConfigDict) -> None:
  """Seconds: tiny networks and few steps, for tests."""
  smoke_game(config)
  config.generator.update(channels=8, smallest=2)
  config.critic.update(channels=8, smallest=2)


def cifar10(config: ConfigDict) -> None:
  """CIFAR-10 by the paper's rates; planned for a TPU v5e-8, an hour.

  Arjovsky et al. 2017 show LSUN bedrooms at 64x64 and report no number; a score of
  their method on CIFAR-10 is in Gulrajani et al. 2017 only as curves.
  """
  config.data.name = "cifar10"
  config.data.in_memory = True
  config.data.flip = True
  config.total_steps = 100_000
  long_run(config)
  config.checkpoint.every_steps = 10_000
  config.eval.every_steps = 20_000
  config.eval.num_samples = 10_000
