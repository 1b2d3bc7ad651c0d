"""GAN: the default finds eight Gaussians on a ring, in a minute on two cores.

python -m experiments.gan --config=configs/gan.py
python -m experiments.gan --config=configs/gan.py:grid --config.loss=least_squares
python -m experiments.gan --config=configs/gan.py:digits
"""

from ml_collections import ConfigDict

from configs.base import adversarial_config, long_run, smoke_game, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/gan.py, then what the preset changes."""
  config = adversarial_config()
  config.data.arrangement = "ring"  # of `gaussian_mixture`
  config.loss = "non_saturating"  # any in `losses` of experiments/gan.py
  config.saturating = False  # whether f-GAN's generator minimises the bound itself
  config.alpha = 0.5  # of the loss "alpha"
  config.r1 = 0.0  # gamma: the weight of the critic's squared gradient at data
  config.r2 = 0.0  # the same at samples
  config.generator = {"features": 256, "num_layers": 2}
  config.critic = {"features": 256, "num_layers": 2}
  presets = (ring, smoke, grid, digits, mnist)
  return with_preset(config, preset, presets, default=ring)


def ring(config: ConfigDict) -> None:
  """The default: eight Gaussians on a ring; one minute on two cores.

  It is R1 and Adam's b1 of 0 that hold every seed: with an R1 of 0.1 and a b1 of 0.5
  five seeds found 4 to 7 of the 8.
  """
  config.data.name = "gaussian_mixture"
  config.data.batch_size = 256
  config.total_steps = 5000
  config.ema_decay = 0.99
  config.r1 = 1.0
  config.noise_dimension = 2
  config.generator.update(features=128, num_layers=3)
  config.critic.update(features=128, num_layers=3)
  for optimizer in (config.generator_optimizer, config.critic_optimizer):
    optimizer.update(learning_rate=1e-3, b1=0.0, b2=0.9, decay="cosine", flatten=True)
  long_run(config)
  config.eval.num_samples = 2000


def smoke(config: ConfigDict) -> None:
  """Seconds: tiny networks and few steps, for tests."""
  smoke_game(config)
  config.data.name = "gaussian_mixture"
  config.r1 = config.r2 = 0.1
  config.generator.update(features=16, num_layers=1)
  config.critic.update(features=16, num_layers=1)


def grid(config: ConfigDict) -> None:
  """25 narrow Gaussians on a grid: are all found? Two minutes on two cores.

  In trials with a weaker penalty, or none, 3 to 16 of them were.
  """
  ring(config)
  config.data.arrangement = "grid"
  config.data.batch_size = 512
  config.noise_dimension = 16
  config.r1 = 0.5


def digits(config: ConfigDict) -> None:
  """8x8 digits, by dense networks; 45 seconds of processor time.

  By benchmarks/README.md, of the training of one seed.
  """
  config.total_steps = 5000
  config.ema_decay = 0.995
  config.r1 = 0.1
  for optimizer in (config.generator_optimizer, config.critic_optimizer):
    optimizer.update(learning_rate=1e-3, decay="cosine", flatten=True)


def mnist(config: ConfigDict) -> None:
  """MNIST by dense networks, as the paper's; planned for one TPU chip, minutes.

  Goodfellow et al. 2014, table 1: a Parzen window's log-likelihood of 225 ± 2 nats, a
  number that no one trusts now. Their critic has maxout layers and dropout; here it has
  neither, and R1 instead.
  """
  config.data.name = "mnist"
  config.data.in_memory = True
  config.total_steps = 50_000
  config.noise = "uniform"
  config.noise_dimension = 100
  config.r1 = 0.1
  config.generator.features = 1200
  config.critic.features = 240
  long_run(config)
  config.checkpoint.every_steps = 10_000
  config.eval.every_steps = 20_000
  config.eval.num_samples = 10_000
