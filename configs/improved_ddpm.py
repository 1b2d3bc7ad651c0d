"""Improved DDPM: the default trains on digits in minutes on two cores.

python -m experiments.improved_ddpm --config=configs/improved_ddpm.py
python -m experiments.improved_ddpm --config=configs/improved_ddpm.py:cifar10
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
  """The config of experiments/improved_ddpm.py: the paper's, then the preset's."""
  config = image_config()
  config.optimizer.learning_rate = 1e-4
  config.loss = "squared_error"  # L_simple: a function in jgm/losses/regression.py
  config.bound_weight = 0.001  # lambda: of the bound, in bits per dimension
  config.prediction = "eps"  # what the network predicts: "eps", "x_0" or "v"
  config.class_conditional = False
  config.schedule = "cosine"  # or "linear"
  config.schedules = {
    "linear": {"beta_start": 1e-4, "beta_end": 0.02},
    "cosine": {"offset": 0.008, "normalise": True},
  }
  config.num_timesteps = 4000  # T
  config.model = unet_config()
  config.update(sampling_config("ancestral", num_steps=4000))
  config.samplers.ancestral.variance = "learned"  # or "small", "large"
  config.eval.bound_samples = 50  # terms of the variational bound, drawn for each image
  config.eval.term_images = 32  # images that each term is the mean over, in the picture
  return with_preset(config, preset, (digits, smoke, cifar10), default=digits)


def digits(config: ConfigDict) -> None:
  """The default: ddpm's 8x8 digits and network; seven minutes of processor time."""
  config.total_steps = 1500
  config.ema_decay = 0.995
  config.class_conditional = True
  config.optimizer.learning_rate = 2e-3
  config.optimizer.decay = "cosine"
  config.optimizer.flatten = True
  config.num_timesteps = 1000
  # The paper's rule for s: sqrt(beta_0) slightly below the size of a grey level. That
  # is 0.104 and 0.125 here; divided by f(0), no s could reach it in 1000 steps.
  config.schedules.cosine = {"offset": 0.07, "normalise": False}
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
  config.eval.term_images = 4


def cifar10(config: ConfigDict) -> None:
  """The paper's CIFAR-10: 3.17 bits/dim and FID 3.19; planned for a TPU v5e-8.

  Nichol & Dhariwal 2021, appendix A and table 2 (L_hybrid, cosine, T = 4000): 500k
  steps of 128, Adam at 1e-4, EMA 0.9999, dropout 0.3, three residual blocks per
  resolution, attention of four heads at 16x16 and 8x8. Its network also scales by the
  time, which this U-Net does not, and its training is not clipped.
  """
  config.data.name = "cifar10"
  config.data.in_memory = True
  config.data.flip = True
  config.total_steps = 500_000
  config.ema_decay = 0.9999
  config.optimizer.warmup_steps = 0
  config.optimizer.clip_norm = None
  config.model.channels = 128
  config.model.channel_multipliers = (1, 2, 2, 2)
  config.model.num_blocks = 3
  config.model.attention_resolutions = (16, 8)
  config.model.num_heads = 4
  config.model.dropout = 0.3
  long_run(config)
  config.checkpoint.every_steps = 20_000
  config.eval.every_steps = 100_000
  config.eval.num_samples = 50_000
