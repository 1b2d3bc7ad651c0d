"""What every experiment's config has: the run, the optimiser, the data, the output.

A method's config says only what differs. Values are plain: no functions, tuples rather
than lists, `placeholder(type)` where a value may be absent.
"""

from collections.abc import Callable, Sequence
from typing import Any

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
    "algorithm": "adam",  # or "sgd"
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
    "net_steps": placeholder(int),  # training steps of the evaluation's own nets
    "inception": placeholder(str),  # weights for the Frechet Inception distance
  }
  config.stop = {  # early stopping, from the logged numbers
    "metric": placeholder(str),  # such as "eval/frechet_distance"
    "mode": "min",
    "patience": 3,  # evaluations without improvement
  }
  return config


def adversarial_config() -> ConfigDict:
  """The defaults of a game: a generator and a critic, each with an optimiser.

  Returns:
    `base_config` with the sections `generator_optimizer` and `critic_optimizer` in the
    place of `optimizer`: Adam as DCGAN has it, without warm-up or clipping. The steps
    of each schedule are those of its player.
  """
  config = base_config()
  optimizer = config.optimizer
  optimizer.update(learning_rate=2e-4, b1=0.5, warmup_steps=0)
  del optimizer.clip_norm
  optimizer.clip_norm = placeholder(float)
  del config.optimizer
  config.generator_optimizer = optimizer
  config.critic_optimizer = optimizer.copy_and_resolve_references()
  config.n_critic = 1  # steps of the critic before each of the generator
  config.noise = "normal"  # or "uniform", on [-1, 1]
  config.noise_dimension = 32
  config.sample = {"chunk_size": 250}
  return config


def smoke_game(config: ConfigDict) -> None:
  """`smoke_run` of a game: small slices of the batch, of which there are two."""
  smoke_run(config)
  config.data.batch_size = 32
  config.n_critic = 2
  config.noise_dimension = 4
  config.sample.chunk_size = 16


def smoke_run(config: ConfigDict) -> None:
  """Seconds: few steps, examples and evaluations, for tests."""
  config.total_steps = 8
  config.parallel.steps_per_call = 4
  config.log.every_steps = 4
  config.checkpoint.every_steps = 4
  config.eval.num_samples = 32
  config.eval.net_steps = 20


def long_run(config: ConfigDict) -> None:
  """Hours on accelerators: fewer calls and lines."""
  config.parallel.steps_per_call = 100
  config.log.every_steps = 100


def unet_config(**values: Any) -> ConfigDict:
  """The fields of `jgm.models.unet.UNet` that a config sets.

  Args:
    **values: those that differ from what is here.

  Returns:
    A section such as `model`.
  """
  config = ConfigDict(
    {
      "channels": 32,
      "channel_multipliers": (1, 2, 2),
      "num_blocks": 2,
      "attention_resolutions": (),
      "num_heads": 1,
      "dropout": 0.0,
      "remat": False,
    }
  )
  config.update(values)
  return config


def sampling_config(sampler: str, *, num_steps: int) -> ConfigDict:
  """The sections `sample` and `samplers` of a method that walks from noise to data.

  Args:
    sampler: the default, one of those under `samplers`.
    num_steps: its number of steps.

  Returns:
    {"sample": how the method samples, "samplers": each sampler's own options}.
  """
  return ConfigDict(
    {
      "sample": {
        "sampler": sampler,
        "num_steps": num_steps,
        "spacing": placeholder(str),  # of the steps; None: evenly in time
        "chunk_size": 250,  # images at a time
      },
      "samplers": {
        "ancestral": {"variance": "small"},  # of a reverse step; or "large"
        "ddim": {"eta": 0.0},  # from 0, no noise, to 1, as much as ancestral sampling
        "predictor_corrector": {"num_corrections": 1, "snr": 0.16},
        # step_size None: by technique 4 of Song & Ermon 2020
        "annealed_langevin": {"steps_per_level": 5, "step_size": placeholder(float)},
        "probability_flow": {"rtol": 1e-4, "atol": 1e-4},
      },
    }
  )


def with_preset(
  config: ConfigDict, preset: str, presets: Sequence[Preset], *, default: Preset
) -> ConfigDict:
  """Locks `config` and applies a preset to it.

  Args:
    config: what the presets begin with.
    preset: the name after the colon on the command line; "" means the default.
    presets: functions that change a config in place; each is called by its own name.
    default: one of them.

  Returns:
    The config, locked: a key that is not there cannot be set.

  Raises:
    ValueError: if there is no such preset.
  """
  config.lock()
  by_name = {each.__name__: each for each in presets}
  preset = preset or default.__name__
  if preset not in by_name:
    raise ValueError(f"no preset {preset!r}: there are {', '.join(by_name)}")
  by_name[preset](config)
  return config
