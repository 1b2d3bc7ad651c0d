"""Score matching of points in the plane: the default takes minutes on two cores.

python -m experiments.score_matching --config=configs/score_matching.py
python -m experiments.score_matching --config=configs/score_matching.py:ring
"""

from ml_collections import ConfigDict

from configs.base import base_config, long_run, smoke_run, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/score_matching.py, then what the preset changes."""
  config = base_config()
  config.loss = "hutchinson"  # or "implicit", "sliced", "denoising"
  config.sigma = 0.1  # the noise in the data, for all losses: it is their score's too
  config.total_steps = 10_000
  config.data.name = "gaussian_mixture"  # or "moons", "rings", "checkerboard"
  config.data.arrangement = "pair"  # of the mixture; or "ring", "grid"
  config.model = {"features": 128, "num_layers": 3}
  config.sample = {
    "num_steps": 1000,
    "step_size": 0.1,  # the variance of a step
    "chunk_size": 1000,  # chains at a time
  }
  long_run(config)
  config.checkpoint.every_steps = 2500
  config.eval.num_samples = 2000
  # Of Gaussians on which the losses are compared in time and error; () compares none.
  config.eval.dimensions = (2, 8, 32, 128)
  return with_preset(config, preset, (pair, smoke, ring, moons), default=pair)


def pair(config: ConfigDict) -> None:
  """The default: two Gaussians of weights 1/5 and 4/5; two minutes of processor time.

  Song & Ermon 2019, sections 3.2 and B.1 (https://arxiv.org/abs/1907.05600): a network
  of three layers of 128, 10,000 steps of 128 at 1e-3, 1,000 steps of Langevin's of size
  0.1. Their figures 2 and 3: the score is right where the data are and wrong between,
  and the chains find both Gaussians, and not their weights.
  """


def smoke(config: ConfigDict) -> None:
  """Seconds: a tiny network and few steps, for tests."""
  smoke_run(config)
  config.data.batch_size = 16
  config.model = {"features": 16, "num_layers": 1}
  config.sample.num_steps = 10
  config.sample.chunk_size = 100
  config.eval.num_samples = 100
  config.eval.dimensions = ()


def ring(config: ConfigDict) -> None:
  """Eight Gaussians on a ring, narrow and far apart; 5,000 steps, not timed."""
  config.data.arrangement = "ring"
  _of_narrow_data(config)


def moons(config: ConfigDict) -> None:
  """Two half circles, whose score nobody knows; 5,000 steps, not timed.

  So the learned score is drawn alone.
  """
  config.data.name = "moons"
  _of_narrow_data(config)


def _of_narrow_data(config: ConfigDict) -> None:
  config.total_steps = 5000
  config.sample.step_size = 2e-3  # a tenth of the variance of noise and data, about
  config.optimizer.decay = "cosine"
  config.eval.dimensions = ()
