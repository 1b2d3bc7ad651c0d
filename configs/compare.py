"""Compare: the default trains eight methods on digits, a quarter of an hour in all.

python -m experiments.compare --config=configs/compare.py
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from configs.base import with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/compare.py, then what the preset changes."""
  config = ConfigDict()
  config.methods = ("ddpm",)  # files in experiments/, with a preset "score_sde:ve"
  config.changes = ()  # of one method: "score_sde:ve.optimizer.learning_rate=1e-3"
  config.budget = {
    "kind": "seconds",  # of training alone; or "examples", as often as they are seen
    "amount": 40.0,
  }
  # Numbers of each method's evaluation, beside its likelihood; ordered by the first.
  config.quantities = ("frechet_distance", "precision", "recall")
  config.num_shown = 64  # samples of each method
  config.sample = {"chunk_size": 250}  # samples at a time, and as many are timed
  config.eval = {  # of every method
    "num_samples": 500,
    "seed": 0,
    "net_steps": placeholder(int),  # training steps of the evaluation's own nets
    "inception": placeholder(str),  # weights for the Frechet Inception distance
  }
  return with_preset(config, preset, (digits, smoke), default=digits)


def digits(config: ConfigDict) -> None:
  """The default: eight methods on 8x8 digits; a quarter of an hour on two cores."""
  config.methods = (
    *("ddpm", "ncsn", "score_sde", "flow_matching"),
    *("dcgan", "wgan_gp", "sngan", "sinkhorn_gan"),
  )
  # What knows the class of each image has an easier task.
  told = ("ddpm", "ncsn", "flow_matching")
  config.changes = tuple(f"{name}.class_conditional=false" for name in told)


def smoke(config: ConfigDict) -> None:
  """Seconds: two tiny networks, for tests."""
  config.methods = ("ddpm:smoke", "dcgan:smoke")
  config.budget = {"kind": "examples", "amount": 256.0}
  config.num_shown = 16
  config.sample.chunk_size = 16
  config.eval.num_samples = 32
  config.eval.net_steps = 20
