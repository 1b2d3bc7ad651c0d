"""PPO on CartPole: solved in seconds on one core.

python -m experiments.cartpole --config=configs/cartpole.py
"""

from ml_collections import ConfigDict

from configs.base import base_config, smoke_run, with_preset


def get_config(preset: str = "") -> ConfigDict:
  """The config of experiments/cartpole.py, then what the preset changes."""
  config = base_config()
  del config.data, config.ema_decay  # there are no data, and nothing is averaged
  # A step is a rollout, num_steps of each environment, and all epochs over it.
  config.num_environments = 16  # a multiple of the devices
  config.num_steps = 128
  config.num_epochs = 4
  config.num_minibatches = 4  # of each epoch; divides num_steps
  config.discount = 0.99  # gamma
  config.gae_lambda = 0.95
  config.clip = 0.2  # of the ratio of policies
  config.value_weight = 0.5  # of the value's loss
  config.entropy_weight = 0.0
  config.model = {"features": 64, "num_layers": 2}  # of the policy and of the value
  config.optimizer.update(learning_rate=3e-3, warmup_steps=0, decay="linear")
  config.optimizer.clip_norm = 10.0
  config.optimizer.flatten = True
  config.total_steps = 150
  config.parallel.steps_per_call = 10
  config.log.every_steps = 10
  config.checkpoint.every_steps = 50
  config.eval.num_samples = 100  # episodes, of each of three policies
  return with_preset(config, preset, (default, smoke), default=default)


def default(config: ConfigDict) -> None:
  """The default: 307,200 steps of 16 environments; ten seconds of processor time."""


def smoke(config: ConfigDict) -> None:
  """Seconds: tiny networks and short rollouts, for tests."""
  smoke_run(config)
  config.num_environments = 8
  config.num_steps = 8
  config.num_epochs = 2
  config.num_minibatches = 2
  config.model.features = 8
  config.eval.num_samples = 4
