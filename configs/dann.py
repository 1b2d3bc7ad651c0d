"""DANN: the default adapts from digits to digits over photographs, in minutes.

python -m experiments.dann --config=configs/dann.py
python -m experiments.dann --config=configs/dann.py:source_only
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from configs.base import base_config, long_run, smoke_run, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/dann.py, then what the preset changes."""
  config = base_config()
  config.target = "digits_over_photos"  # the domain without labels; data.name has them
  config.data.photo_strength = 1.0  # what the target's photographs are multiplied by
  # What the features learn of the domains' loss is -lambda_p times its gradient, with
  # lambda_p = weight (2 / (1 + exp(-gamma p)) - 1), p the share of training done.
  config.reversal = {"weight": 1.0, "gamma": 10.0}  # weight 0: the source alone
  config.model = {"channels": (32, 48), "kernel_size": 5, "features": placeholder(int)}
  config.classifier = {"features": 100, "num_layers": 1}  # of the classes
  config.domain_classifier = {"features": 100, "num_layers": 1}
  config.sample = {"chunk_size": 1000}
  del config.eval.num_samples  # all held-out images of the target are judged
  config.eval.probe_steps = 500  # of the network that tells frozen features apart
  config.eval.baselines = True  # whether to train those on source and target labels
  presets = (digits, source_only, target_only, smoke, mnist)
  return with_preset(config, preset, presets, default=digits)


def digits(config: ConfigDict) -> None:
  """The default: 8x8 digits to digits over photographs; minutes on two cores.

  Half a minute to a minute of processor time for each of its three trainings.
  """
  config.data.batch_size = 64
  config.data.photo_strength = 0.5
  config.total_steps = 3000
  config.ema_decay = 0.99
  config.model.kernel_size = 3
  config.model.features = 128  # without them, what is where decides the domain
  config.domain_classifier = {"features": 200, "num_layers": 2}
  config.optimizer.b1 = 0.5
  config.optimizer.decay = "cosine"
  config.optimizer.flatten = True


def source_only(config: ConfigDict) -> None:
  """The same without a reversal, what there is to gain; half a minute to a minute."""
  digits(config)
  config.reversal.weight = 0.0
  config.eval.baselines = False


def target_only(config: ConfigDict) -> None:
  """The same by the target's labels, the best that could be; likewise."""
  source_only(config)
  config.data.name = config.target


def smoke(config: ConfigDict) -> None:
  """Seconds: a tiny network and few steps, for tests."""
  smoke_run(config)
  config.optimizer.flatten = True
  config.data.batch_size = 16
  config.model = {"channels": (4, 8), "kernel_size": 3}
  config.classifier.features = 8
  config.domain_classifier.features = 8
  config.eval.probe_steps = 20


def mnist(config: ConfigDict) -> None:
  """MNIST to MNIST over photographs, as MNIST-M; planned for one TPU chip, minutes.

  Ganin et al. 2016, table 2, with crops of BSDS500: 52.25% of MNIST-M right from the
  source alone, 76.66% by DANN, 95.96% from the target's labels. Half of each batch of
  128 is of the target. Here there are two photographs and not 500, so its numbers are
  not the paper's. Nor is the optimiser: theirs is gradient descent with momentum 0.9 at
  a rate of 0.01 / (1 + 10 p)^0.75.
  """
  config.data.name = "mnist"
  config.data.in_memory = True
  config.target = "mnist_over_photos"
  config.data.batch_size = 64
  config.total_steps = 50_000
  config.classifier.num_layers = 2
  long_run(config)
  config.checkpoint.every_steps = 5000
  config.eval.probe_steps = 5000
