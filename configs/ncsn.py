"""NCSN: the default trains on digits in minutes on two cores.

python -m experiments.ncsn --config=configs/ncsn.py
python -m experiments.ncsn --config=configs/ncsn.py:cifar10 --workdir=...
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
  """The config of experiments/ncsn.py: the paper's, then the preset's."""
  config = image_config()
  config.optimizer.learning_rate = 1e-4
  # The loss is a sum over pixels, and so is its gradient.
  config.optimizer.clip_norm = None
  config.class_conditional = False
  config.noise_conditional = False  # whether the network is told t, as in 2019
  config.num_levels = 232  # L; enough that each overlaps the next: technique 2
  config.sigma_min = 0.02
  config.sigma_max = 100.0  # the greatest distance between two examples: technique 1
  config.model = unet_config()
  config.update(sampling_config("annealed_langevin", num_steps=232))
  config.samplers.annealed_langevin.steps_per_level = 5  # M; more is better
  presets = (digits, smoke, cifar10)
  return with_preset(config, preset, presets, default=digits)


def digits(config: ConfigDict) -> None:
  """The default: 8x8 digits, told their class; eight minutes of processor time."""
  config.total_steps = 1500
  config.ema_decay = 0.995
  config.class_conditional = True
  config.optimizer.learning_rate = 2e-3
  config.optimizer.decay = "cosine"
  config.optimizer.flatten = True
  config.num_levels = 30  # technique 2 asks for 21 at least
  config.sigma_max = 10.0  # two digits are at most 9.6 apart
  config.model.channel_multipliers = (1, 2)
  config.model.num_blocks = 1
  config.model.attention_resolutions = (4,)
  config.sample.num_steps = 30
  # With 5, a quarter of the samples kept some of their noise.
  config.samplers.annealed_langevin.steps_per_level = 15


def smoke(config: ConfigDict) -> None:
  """Seconds: a tiny network and few steps, for tests."""
  smoke_run(config)
  config.optimizer.flatten = True
  config.data.batch_size = 16
  config.num_levels = 10
  config.sigma_max = 10.0
  config.model.channels = 8
  config.model.channel_multipliers = (1,)
  config.model.num_blocks = 1
  config.sample.num_steps = 4
  config.sample.chunk_size = 16
  config.samplers.annealed_langevin.steps_per_level = 1


def cifar10(config: ConfigDict) -> None:
  """The paper's CIFAR-10: FID 10.87; planned for a TPU v5e-8.

  Song & Ermon 2020, table 1 and appendix B: 300k steps of 128, Adam at 1e-4, EMA 0.999,
  flips, 232 levels from 50 to 0.01 of values in [0, 1]: in [-1, 1] both are twice as
  large. The FID is of samples whose last noise is removed, as here; with that noise it
  is 31.75. Their network of 2019 has 29.8 and 25.32. Theirs is a RefineNet; this U-Net
  is about as large as DDPM's.
  """
  config.data.name = "cifar10"
  config.data.in_memory = True
  config.data.flip = True
  config.total_steps = 300_000
  config.model.channels = 128
  config.model.channel_multipliers = (1, 2, 2, 2)
  config.model.attention_resolutions = (16,)
  long_run(config)
  config.checkpoint.every_steps = 20_000
  config.eval.every_steps = 100_000
  config.eval.num_samples = 50_000
