"""Sinkhorn generative modelling: the default trains on digits in minutes on two cores.

python -m experiments.sinkhorn_gan --config=configs/sinkhorn_gan.py
python -m experiments.sinkhorn_gan --config=configs/sinkhorn_gan.py:grid
"""

from ml_collections import ConfigDict

from configs.base import image_config, long_run, smoke_run, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/sinkhorn_gan.py, then what the preset changes."""
  config = image_config()
  config.data.batch_size = 1024  # as many samples: few of either are far from the rest
  config.data.arrangement = "grid"  # of `gaussian_mixture`
  config.noise = "normal"  # or "uniform", on [-1, 1]
  config.noise_dimension = 32
  config.generator = "dense"  # or "conv", for images
  config.dense = {"features": 256, "num_layers": 2}
  config.conv = {"channels": 64, "num_doublings": 2}
  config.cost = "squared_euclidean"  # between pixels or points; a name in COSTS
  config.transport = {
    "epsilon": 0.02,
    "relative": True,  # epsilon counts in mean costs between samples and data
    "tolerance": 1e-2,  # of the marginals
    "max_iterations": 500,
  }
  config.sample = {"chunk_size": 1000}
  return with_preset(
    config, preset, (digits, smoke, grid, mnist, cifar10), default=digits
  )


def digits(config: ConfigDict) -> None:
  """The default: 8x8 digits; three minutes of processor time."""
  config.total_steps = 3000
  config.ema_decay = 0.99
  config.optimizer.decay = "cosine"
  config.optimizer.flatten = True


def smoke(config: ConfigDict) -> None:
  """Seconds: a tiny network and few steps, for tests."""
  smoke_run(config)
  config.optimizer.flatten = True
  config.data.batch_size = 16
  config.noise_dimension = 4
  config.dense = {"features": 16, "num_layers": 1}
  config.transport.update(epsilon=0.2, max_iterations=50)
  config.sample.chunk_size = 16


def grid(config: ConfigDict) -> None:
  """25 narrow Gaussians on a grid: are all found? Four minutes of processor time.

  The cost is the distance itself: squared, it hardly pulls at what is nearly there. In
  trials of 600 steps it found 6 of them, and the distance 14.
  """
  config.data.name = "gaussian_mixture"
  config.total_steps = 2000
  config.ema_decay = 0.99
  config.noise_dimension = 2
  config.dense = {"features": 512, "num_layers": 4}
  config.cost = "euclidean"
  config.optimizer.learning_rate = 2e-3
  config.optimizer.decay = "cosine"
  config.optimizer.flatten = True
  config.transport.epsilon = 0.01
  config.eval.num_samples = 2000


def mnist(config: ConfigDict) -> None:
  """MNIST from noise in the plane, as the paper's; planned for one TPU chip, minutes.

  By the code of Genevay et al. 2018: two layers of 500, batches of 300, Adam at 5e-3,
  70 epochs, uniform noise. Their pixels reach from 0 to 1, where epsilon is 1; here it
  is 4. Their activation is softplus, and their loss not debiased. They report pictures
  and no number.
  """
  config.data.name = "mnist"
  config.data.in_memory = True
  config.data.batch_size = 300
  config.total_steps = 14_000
  config.noise = "uniform"
  config.noise_dimension = 2
  config.dense = {"features": 500, "num_layers": 2}
  config.optimizer.learning_rate = 5e-3
  config.transport.update(epsilon=4.0, relative=False)
  long_run(config)


def cifar10(config: ConfigDict) -> None:
  """CIFAR-10 by the cost of pixels; planned for a TPU v5e-8, hours. Expect blur.

  The paper learns the cost of colour images, by a critic of features: none of its
  numbers is one of this. Its code: a DCGAN with 64 channels, noise of 100 dimensions,
  batches of 100 to 1,000 and 100,000 steps.
  """
  config.data.name = "cifar10"
  config.data.in_memory = True
  config.data.flip = True
  config.data.batch_size = 2048
  config.total_steps = 100_000
  config.ema_decay = 0.9999
  config.noise_dimension = 100
  config.generator = "conv"
  config.conv = {"channels": 64, "num_doublings": 3}
  config.optimizer.learning_rate = 2e-4
  long_run(config)
  config.checkpoint.every_steps = 10_000
  config.eval.every_steps = 20_000
  config.eval.num_samples = 10_000
