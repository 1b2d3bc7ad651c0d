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
  """The defaults: a run of some minutes on two cores."""
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
    "model_devices": 1,  # tensor parallelism: the networks are cut over these
    "fsdp": False,  # large leaves of the state are cut over the data devices too
    "steps_per_call": 20,
  }
  config.log = {"every_steps": 20}
  config.checkpoint = {"every_steps": 400, "keep": 2}
  config.eval = {
    "every_steps": 0,  # 0: at the end only
    "num_samples": 500,
    "seed": 0,
  }
  config.stop = {  # early stopping, from the logged numbers
    "metric": placeholder(str),  # such as "eval/frechet_distance"
    "mode": "min",
    "patience": 3,  # evaluations without improvement
  }
  return config


def image_config() -> ConfigDict:
  """The defaults of a model whose samples are images, or points, beside real ones.

  Returns:
    `base_config` with what is said of the nets that look at images.
  """
  config = base_config()
  config.eval.net_steps = placeholder(int)  # training steps of the nets that look
  config.eval.inception = placeholder(str)  # weights for the Frechet Inception distance
  return config


def adversarial_config() -> ConfigDict:
  """The defaults of a game: a generator and a critic, each with an optimiser.

  Returns:
    `image_config` with the sections `generator_optimizer` and `critic_optimizer` in the
    place of `optimizer`: Adam as DCGAN has it, without warm-up or clipping. The steps
    of each schedule are those of its player.
  """
  config = image_config()
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
  for name, few in (("num_samples", 32), ("net_steps", 20)):
    if name in config.eval:  # not of every experiment's
      config.eval[name] = few


def long_run(config: ConfigDict) -> None:
  """Hours on accelerators, or many short steps: fewer calls and lines."""
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


def text_config() -> ConfigDict:
  """The defaults of a language model: of the bytes of CPython's documentation.

  Returns:
    `base_config` with text as its data, and the sections `model`, the fields of
    `jgm.models.transformer.Decoder` that a config sets, and `decoding`.
  """
  config = base_config()
  config.data.name = "docs"
  config.data.batch_size = 16
  config.data.context = 128  # T, in tokens
  config.data.tokenizer = "bytes"  # or "bpe", byte pairs learnt from the training text
  config.data.vocab_size = placeholder(int)  # of "bpe"
  config.ema_decay = 0.99
  config.tie_embeddings = True
  config.model = {
    "max_length": 128,
    "features": 128,
    "num_layers": 4,
    "num_heads": 4,
    "num_kv_heads": placeholder(int),  # fewer than num_heads: grouped queries
    "positions": "learned",  # or "sinusoidal", "rotary", "alibi"
    "dropout": 0.0,
    "remat": False,
  }
  config.decoding = {  # None excludes no token
    "temperature": 1.0,  # 0: the likeliest token
    "top_k": placeholder(int),
    "top_p": placeholder(float),
    "min_p": placeholder(float),
  }
  config.sample = {"chunk_size": 64}  # texts at a time
  return config


def smoke_text(config: ConfigDict) -> None:
  """`smoke_run` of a language model: a tiny network and short texts."""
  smoke_run(config)
  config.model.update(max_length=16, features=16, num_layers=1, num_heads=2)
  config.data.context = 16
  config.sample.chunk_size = 16


def policy_config() -> ConfigDict:
  """The defaults of a language model that learns from rewards or preferences.

  Returns:
    `text_config` with what is to be completed, by whom at first, and for what reward.
  """
  config = text_config()
  config.data.context = 48  # T: a prompt, and after it a completion
  # What one policy draws another must be able to: there is no top-k, and no dropout.
  config.decoding = {"num_tokens": 32, "temperature": 1.0}  # N, of a completion
  del config.model.dropout
  # The policy begins as this run of `gpt`, and is held to it.
  config.reference = {
    "config": "configs/gpt.py",  # None: a network that was not trained
    "workdir": placeholder(str),  # of that run; None: the default one
    "embedding_scale": 1.0,  # of a network that was not: 1 is all but uniform
  }
  config.rule = {
    "name": "letters",  # the share of some letters; or "table", at random for each
    "letters": "aeiou",
    "scale": 10.0,
    "seed": 0,  # of the table
  }
  # A run of `reward_model` to learn from in the place of the rule; None: the rule.
  config.reward_model = {"config": placeholder(str), "workdir": placeholder(str)}
  config.beta = 0.1  # the weight of the KL from the reference, in rewards per nat
  config.eval.num_samples = 512
  config.sample.chunk_size = 128
  return config


def listed_completions(config: ConfigDict) -> None:
  """No prompt and 4^4 completions, each with a reward at random: all is known."""
  config.data.name = "no_prompt"
  config.data.vocab_size = 4
  config.data.context = 5
  config.decoding.num_tokens = 4
  config.model.update(max_length=5, features=32, num_layers=2, num_heads=2)
  config.reference.config = None
  config.reference.embedding_scale = 4.0
  config.rule.update(name="table", scale=1.0)
  config.beta = 0.5


def smoke_policy(config: ConfigDict) -> None:
  """`smoke_text` of a policy, from the `smoke` of `gpt`."""
  smoke_text(config)
  config.data.context = 12
  config.decoding.num_tokens = 6
  config.reference.config = "configs/gpt.py:smoke"


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
