"""DDPM: the default trains on digits in minutes on two cores.

python -m experiments.ddpm --config=configs/ddpm.py
python -m experiments.ddpm --config=configs/ddpm.py:cifar10 --workdir=...
"""

from ml_collections import ConfigDict

from configs.base import (
  image_config,
  long_run,
  sampling_config,
  smoke_run,
  unet_config,
  with_preset,
)


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/ddpm.py: the paper's, then the preset's."""
  config = image_config()
  config.optimizer.learning_rate = 2e-4
  config.loss = "squared_error"  # the name of a function in jgm/losses/regression.py
  config.prediction = "eps"  # what the network predicts: "eps", "x_0" or "v"
  config.class_conditional = False
  config.schedule = "linear"  # or "cosine", better for small images
  config.num_timesteps = 1000  # T
  config.model = unet_config()
  config.update(sampling_config("ancestral", num_steps=1000))
  config.samplers.ancestral.variance = "large"
  config.eval.bound_samples = 50  # terms of the variational bound, drawn for each image
  presets = (digits, smoke, photos, mnist, cifar10)
  return with_preset(config, preset, presets, default=digits)


def digits(config: ConfigDict) -> None:
  """The default: 8x8 digits, told their class; five minutes on two cores."""
  config.total_steps = 1500
  config.ema_decay = 0.995
  config.class_conditional = True
  config.schedule = "cosine"
  config.optimizer.learning_rate = 2e-3
  config.optimizer.decay = "cosine"
  config.optimizer.flatten = True
  config.model.channel_multipliers = (1, 2)
  config.model.num_blocks = 1
  config.model.attention_resolutions = (4,)
  config.sample.num_steps = 100


def smoke(config: ConfigDict) -> None:
  """Seconds: a tiny network and few steps, for tests."""
  smoke_run(config)
  config.optimizer.flatten = True
  config.data.batch_size = 16
  config.model.channels = 8
  config.model.channel_multipliers = (1,)
  config.model.num_blocks = 1
  config.num_timesteps = 20
  config.sample.num_steps = 4
  config.sample.chunk_size = 16
  config.eval.bound_samples = 4


def photos(config: ConfigDict) -> None:
  """Crops of two photographs, 32x32 in colour; a quarter of an hour on two cores."""
  config.data.name = "photos"
  config.data.batch_size = 32
  config.total_steps = 1500
  config.ema_decay = 0.995
  config.optimizer.learning_rate = 2e-3
  config.optimizer.decay = "cosine"
  config.optimizer.flatten = True
  config.model.num_blocks = 1
  config.model.attention_resolutions = (8,)
  config.sample.num_steps = 100


def mnist(config: ConfigDict) -> None:
  """MNIST at 28x28; planned for one TPU chip, under an hour."""
  config.data.name = "mnist"
  config.data.in_memory = True
  config.total_steps = 50_000
  config.model.channels = 64
  config.model.attention_resolutions = (14,)
  config.model.dropout = 0.1
  long_run(config)
  config.checkpoint.every_steps = 5000
  config.eval.every_steps = 10_000
  config.eval.num_samples = 10_000


def cifar10(config: ConfigDict) -> None:
  """The paper's CIFAR-10: FID 3.17 and at most 3.75 bits/dim; planned for TPU v5e-8.

  Ho et al. 2020, table 1 and appendix B: 35.7M parameters, 800k steps of 128, Adam at
  2e-4, EMA 0.9999, dropout 0.1, horizontal flips; and by their code 5,000 steps of
  warm-up and clipping at 1. By its plan 2.2 GiB a chip, and at least 3 hours and 40
  minutes; on v5e-16 2 hours and 49.
  """
  config.data.name = "cifar10"
  config.data.in_memory = True
  config.data.flip = True
  config.total_steps = 800_000
  config.ema_decay = 0.9999
  config.optimizer.warmup_steps = 5000
  config.model.channels = 128
  config.model.channel_multipliers = (1, 2, 2, 2)
  config.model.attention_resolutions = (16,)
  config.model.dropout = 0.1
  long_run(config)
  config.checkpoint.every_steps = 20_000
  config.eval.every_steps = 100_000
  config.eval.num_samples = 50_000
