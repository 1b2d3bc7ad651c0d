"""GPT: the default trains on CPython's documentation in minutes on two cores.

python -m experiments.gpt --config=configs/gpt.py
python -m experiments.gpt --config=configs/gpt.py:shakespeare
"""

from ml_collections import ConfigDict

from configs.base import long_run, smoke_text, text_config, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/gpt.py, then what the preset changes."""
  config = text_config()
  config.optimizer.learning_rate = 2e-3
  config.optimizer.b2 = 0.95
  config.optimizer.weight_decay = 0.1
  config.optimizer.decay = "cosine"
  config.z_loss = 0.0  # the weight of (log Z)^2; PaLM's is 1e-4
  del config.eval.num_samples  # all held-out text is read
  config.eval.chunk_size = 64  # windows of text at a time
  presets = (docs, smoke, shakespeare, gpt2_medium)
  return with_preset(config, preset, presets, default=docs)


def docs(config: ConfigDict) -> None:
  """The default: 0.8M parameters, the bytes of CPython's documentation; minutes.

  A quarter of an hour of processor time.
  """
  config.total_steps = 3000


def smoke(config: ConfigDict) -> None:
  """Seconds: a tiny network and few steps, for tests."""
  smoke_text(config)


def shakespeare(config: ConfigDict) -> None:
  """Tiny Shakespeare by nanoGPT's network; planned for one TPU chip, minutes.

  10.7M parameters. nanoGPT's train_shakespeare_char.py reaches 1.47 nats, 2.12 bits,
  per character.
  """
  config.data.name = "tiny_shakespeare"
  config.data.in_memory = True
  config.data.batch_size = 64
  config.data.context = 256
  config.model.update(max_length=256, features=384, num_layers=6, num_heads=6)
  config.model.dropout = 0.2
  config.total_steps = 5000
  config.optimizer.learning_rate = 1e-3
  long_run(config)


def gpt2_medium(config: ConfigDict) -> None:
  """The size of GPT-2 medium, 355M parameters; planned for TPU v5e-16, FSDP.

  By its plan 9.8 GiB a chip (14.7 without FSDP), and at least 35 hours and a half.

  Radford et al. 2019, table 2: 24 layers of 1024 (as released, with 16 heads), context
  1024, BPE, 512 rows an update. The text is any of TFDS's with enough of it; it is read
  ahead. GPT-2's 50,257 tokens are here a multiple of 128: so its table, the longest
  leaf, can be cut by its rows.
  """
  config.data.name = "c4/en"
  config.data.batch_size = 256
  config.data.context = 1024
  config.data.tokenizer = "bpe"
  config.data.vocab_size = 50_304
  config.parallel.fsdp = True
  config.dtype = "bfloat16"
  config.model.update(max_length=1024, features=1024, num_layers=24, num_heads=16)
  config.model.remat = True
  config.total_steps = 200_000
  config.optimizer.accumulate_steps = 2
  config.optimizer.learning_rate = 3e-4
  config.optimizer.warmup_steps = 4000
  config.eval.chunk_size = 16
  long_run(config)
  config.checkpoint.every_steps = 10_000
