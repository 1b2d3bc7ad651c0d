"""cGAN: the default trains on digits in a minute on two cores.

python -m experiments.cgan --config=configs/cgan.py
"""

from ml_collections import ConfigDict

from configs.base import adversarial_config, long_run, smoke_game, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/cgan.py, then what the preset changes."""
  config = adversarial_config()
  config.loss = "hinge"  # a name in GAN_LOSSES
  config.noise_dimension = 100
  config.generator = {"channels": 64, "smallest": 4}
  config.critic = {
    "channels": 64,
    "smallest": 4,
    "norm": "batch",
    "spectral_norm": False,
  }
  return with_preset(config, preset, (digits, smoke, cifar10), default=digits)


def digits(config: ConfigDict) -> None:
  """The default: 8x8 digits, told their class; one minute on two cores."""
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
  config.loss = "non_saturating"  # to hinge's, at first, the last bias is no concern
  config.generator.update(channels=8, smallest=2)
  config.critic.update(channels=8, smallest=2)


def cifar10(config: ConfigDict) -> None:
  """CIFAR-10 by class, DCGAN's networks; planned for a TPU v5e-8, hours.

  Miyato & Koyama 2018 report FID 17.5 and inception score 8.62 on CIFAR-10 for residual
  networks with spectral normalisation, five steps of the critic each.
  """
  config.data.name = "cifar10"
  config.data.in_memory = True
  config.data.flip = True
  config.data.batch_size = 320
  config.n_critic = 5
  config.total_steps = 100_000
  config.critic.update(norm="none", spectral_norm=True)
  for optimizer in (config.generator_optimizer, config.critic_optimizer):
    optimizer.update(b1=0.0, b2=0.9, decay="linear")
  long_run(config)
  config.checkpoint.every_steps = 10_000
  config.eval.every_steps = 20_000
  config.eval.num_samples = 50_000
