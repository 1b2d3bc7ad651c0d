"""Flow matching: the default trains on digits in minutes on two cores.

python -m experiments.flow_matching --config=configs/flow_matching.py
python -m experiments.flow_matching --config=configs/flow_matching.py:reflow
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from configs.base import (
  image_config,
  long_run,
  sampling_config,
  smoke_run,
  unet_config,
  with_preset,
)


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/flow_matching.py, then what the preset changes."""
  config = image_config()
  config.loss = "squared_error"  # the name of a function in jgm/losses/regression.py
  config.coupling = "independent"  # of data and noise; a name in COUPLINGS
  # Of the coupling of that name: epsilon in mean costs between data and noise.
  config.minibatch_ot = {"epsilon": 0.02, "tolerance": 1e-2, "max_iterations": 500}
  config.first_time = 1e-3  # the least t, where samplers and likelihood stop
  config.class_conditional = False
  config.reflow = False  # whether to train on the pairs that a teacher's flow makes
  config.teacher = {
    "run": {  # whose flow that is, and its folder; None: the default one
      "config": "configs/flow_matching.py",
      "workdir": placeholder(str),
    },
    "num_pairs": 10_000,
    "num_steps": 8,  # Heun's, from noise to data
  }
  config.unet = unet_config(channel_multipliers=(1, 2), num_blocks=1)  # for images
  config.mlp = {"features": 128, "num_layers": 3}  # for points
  config.likelihood = {
    "trace": "hutchinson",
    "num_probes": 1,
    "rtol": 1e-3,
    "atol": 1e-3,
  }
  config.update(sampling_config("heun", num_steps=20))
  config.eval.euler_steps = (1, 2, 4, 8, 16, 32, 64)
  presets = (
    *(digits, smoke, moons, reflow, reflow_moons, reflow_smoke),
    *(minibatch_ot, minibatch_ot_moons, cifar10),
  )
  return with_preset(config, preset, presets, default=digits)


def digits(config: ConfigDict) -> None:
  """The default: 8x8 digits, told their class; four minutes on two cores."""
  config.total_steps = 1000
  config.ema_decay = 0.995
  config.class_conditional = True
  config.optimizer.learning_rate = 2e-3
  config.optimizer.decay = "cosine"
  config.optimizer.flatten = True
  config.unet.attention_resolutions = (4,)


def smoke(config: ConfigDict) -> None:
  """Seconds: a tiny network and few steps, for tests."""
  smoke_run(config)
  config.optimizer.flatten = True
  config.data.batch_size = 16
  config.unet.channels = 8
  config.unet.channel_multipliers = (1,)
  config.sample.num_steps = 4
  config.sample.chunk_size = 16
  config.likelihood.update(rtol=1e-2, atol=1e-2)
  config.eval.euler_steps = (1, 4)


def moons(config: ConfigDict) -> None:
  """Two moons, or other points by --config.data.name; 37 seconds of processor time."""
  config.data.name = "moons"
  config.data.batch_size = 256
  config.total_steps = 4000
  config.ema_decay = 0.995
  config.optimizer.learning_rate = 2e-3
  config.optimizer.decay = "cosine"
  config.optimizer.flatten = True
  config.sample.chunk_size = 1000
  config.likelihood.update(trace="exact", rtol=1e-4, atol=1e-4)
  long_run(config)
  config.eval.num_samples = 2000


def reflow(config: ConfigDict) -> None:
  """Reflow of the default, which is trained first; four minutes on two cores.

  The paths are straight, so few steps are enough.
  """
  digits(config)
  config.total_steps = 500
  config.reflow = True


def reflow_moons(config: ConfigDict) -> None:
  """Reflow of `moons`, which is trained first: 4,000 steps more, not timed."""
  moons(config)
  config.reflow = True
  config.teacher.run.config = "configs/flow_matching.py:moons"
  config.teacher.num_pairs = 50_000
  config.teacher.num_steps = 50


def reflow_smoke(config: ConfigDict) -> None:
  """Seconds: reflow of `smoke`, for tests."""
  smoke(config)
  config.reflow = True
  config.teacher.run.config = "configs/flow_matching.py:smoke"
  config.teacher.num_pairs = 40
  config.teacher.num_steps = 2


def minibatch_ot(config: ConfigDict) -> None:
  """The default with pairs by transport in each class; four minutes on two cores."""
  digits(config)
  config.coupling = "minibatch_ot"


def minibatch_ot_moons(config: ConfigDict) -> None:
  """`moons` with pairs by transport; 46 seconds of processor time."""
  moons(config)
  config.coupling = "minibatch_ot"


def cifar10(config: ConfigDict) -> None:
  """CIFAR-10: FID 2.58 in Liu et al., 6.35 in Lipman et al.; planned for a TPU v5e-8.

  The hyperparameters are those of Liu et al.'s code: batches of 128, Adam at 2e-4 with
  5,000 steps of warm-up, clipping at 1, EMA 0.999999, dropout 0.15, horizontal flips,
  sampling by an adaptive solver to 1e-5. The network is our U-Net in that size, not
  theirs, and 800,000 steps are fewer than the 1.3 million that their code allows. They
  report an FID of 2.58 in 127 evaluations, and after one reflow 3.36 in 110 and 12.21
  in 1, where the flow without reflow has 378. Lipman et al., with a wider network: FID
  6.35 in 142 evaluations, and 2.99 bits/dim.
  """
  config.data.name = "cifar10"
  config.data.in_memory = True
  config.data.flip = True
  config.total_steps = 800_000
  config.ema_decay = 0.999999
  config.optimizer.learning_rate = 2e-4
  config.optimizer.warmup_steps = 5000
  config.unet.channels = 128
  config.unet.channel_multipliers = (1, 2, 2, 2)
  config.unet.num_blocks = 4
  config.unet.attention_resolutions = (16,)
  config.unet.dropout = 0.15
  config.sample.sampler = "probability_flow"
  config.samplers.probability_flow.update(rtol=1e-5, atol=1e-5)
  config.likelihood.update(rtol=1e-5, atol=1e-5)
  long_run(config)
  config.checkpoint.every_steps = 20_000
  config.eval.every_steps = 100_000
  config.eval.num_samples = 50_000
