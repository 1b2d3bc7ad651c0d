"""What every experiment's config has: the run, the optimiser, the data, the output.

A method's config says only what differs. Values are plain: no functions, tuples rather
than lists, `placeholder(type)` where a value may be absent.
"""

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

Preset = Callable[[ConfigDict], None]


def base_config() -> ConfigDict:
  """The defaults: a run of some minutes on two CPU cores."""
  config = ConfigDict()
  config.seed = 0  # run i of `num_seeds` is the run with seed + i
  config.num_seeds = 1
  config.total_steps = 1000
  config.dtype = "float32"  # of the networks' arithmetic; "bfloat16" on TPU and GPU
  config.ema_decay = 0.999
  config.optimizer = {
    "learning_rate": 1e-3,
    "warmup_steps": 100,
    "decay": "constant",  # or "linear", "cosine"
    "clip_norm": 1.0,
    "weight_decay": 0.0,
    "b1": 0.9,
    "b2": 0.999,
    "accumulate_steps": 1,
    "flatten": False,  # update all parameters as one vector: for small networks
  }
  config.data = {
    "name": "digits",
    "batch_size": 128,
    "seed": 0,  # the order of the data; its own, so that seeds share their batches
    "data_dir": placeholder(str),  # where TFDS datasets lie; local or gs://
    "in_memory": False,  # whether a TFDS dataset lives whole on the device
    "flip": False,  # mirror half of the images
  }
  config.parallel = {
    "strategy": "jit",  # or "pmap"
    "data_devices": -1,  # all there are
    "model_devices": 1,
    "steps_per_call": 20,
  }
  config.log = {"every_steps": 20}
  config.checkpoint = {"every_steps": 400, "keep": 2}
  config.eval = {
    "every_steps": 0,  # 0: at the end only
    "num_samples": 500,
    "seed": 0,
    "judge_steps": placeholder(int),  # training steps of the evaluation's own nets
    "inception": placeholder(str),  # weights for the Frechet Inception distance
  }
  config.stop = {  # early stopping, from the logged numbers
    "metric": placeholder(str),  # such as "eval/frechet_distance"
    "mode": "min",
    "patience": 3,  # evaluations without improvement
  }
  return config


def with_preset(
  config: ConfigDict, preset: str, presets: Mapping[str, Preset]
) -> ConfigDict:
  """Applies a preset to `config` and locks it.

  Args:
    config: the defaults.
    preset: the name after the colon on the command line; "" leaves the defaults.
    presets: the presets by name; each changes a config in place.

  Returns:
    The config, locked: a key that is not there cannot be set.

  Raises:
    ValueError: if there is no such preset.
  """
  config.lock()
  if preset:
    if preset not in presets:
      raise ValueError(f"no preset {preset!r}: there are {', '.join(presets)}")
    presets[preset](config)
  return config
