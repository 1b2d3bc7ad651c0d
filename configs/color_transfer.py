"""Colour transfer: the palette of one embedded photograph onto the other.

python -m experiments.color_transfer --config=configs/color_transfer.py
"""

from ml_collections import ConfigDict

from configs.base import base_config, smoke_run, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/color_transfer.py, then what the preset changes."""
  config = base_config()
  del config.data, config.optimizer, config.ema_decay  # it follows no gradient
  # In mean costs between the two palettes: one step each, from large to small.
  config.epsilons = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
  config.total_steps = len(config.epsilons)
  config.num_pixels = 4096  # of each photograph, drawn by the seed
  config.transport = {"tolerance": 1e-3, "max_iterations": 1000}
  config.num_shown = 3  # epsilons in the picture
  config.parallel.steps_per_call = 1
  config.log.every_steps = 1
  config.eval.num_samples = 20_000  # pixels whose colours are compared
  return with_preset(config, preset, (photos, smoke), default=photos)


def photos(config: ConfigDict) -> None:
  """The default: a temple and a flower, each in the other's colours; half a minute."""


def smoke(config: ConfigDict) -> None:
  """Seconds: few pixels and large epsilons, for tests."""
  smoke_run(config)
  config.epsilons = (1.0, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1)
  config.num_pixels = 32
  config.transport.max_iterations = 50
  config.eval.num_samples = 200
