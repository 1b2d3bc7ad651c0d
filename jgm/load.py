"""A trained run in a notebook: `run = jgm.load("runs/ddpm")`."""

import os
from typing import Any, NamedTuple

import jax
from etils import epath
from ml_collections import ConfigDict

from jgm.core.experiment import Evaluation, Experiment
from jgm.core.program import base_key
from jgm.core.state import TrainState
from jgm.xla import configure_jax


class LoadedRun(NamedTuple):
  """A run's experiment and the state it reached."""

  experiment: Experiment
  state: TrainState
  config: ConfigDict
  step: int

  def sample(self, num_samples: int, *, seed: int = 0, **conditions: Any) -> jax.Array:
    """Draws samples.

    Args:
      num_samples: how many, n.
      seed: the seed.
      **conditions: what the experiment's `sample` takes: `class_label`, `sampler`, ...

    Returns:
      The samples [n, ...], in the data's range.
    """
    key = base_key(seed, "sample")
    return self.experiment.sample(self.state, key, num_samples, **conditions)

  def evaluate(self, *, seed: int | None = None) -> Evaluation:
    """Evaluates the state.

    Args:
      seed: the seed of the evaluation's samples; None takes `config.eval.seed`, as the
        run's own report does.

    Returns:
      Its numbers and pictures.
    """
    seed = self.config.eval.seed if seed is None else seed
    return self.experiment.evaluate(self.state, base_key(seed, "evaluate"))


def load(workdir: str | os.PathLike[str], *, seed_index: int = 0) -> LoadedRun:
  """Loads the newest good checkpoint of a run.

  Args:
    workdir: the run's folder.
    seed_index: which of its seeds, where it was trained with `num_seeds`.

  Returns:
    The LoadedRun.

  Raises:
    UserError: if there is no run, or it has no checkpoint yet.
  """
  # Here, so that `import jgm` is quick.
  from jgm.cli.opening import existing_run
  from jgm.cli.run import of_seed, restore_whole

  configure_jax()
  existing = existing_run(epath.Path(workdir))
  restored = restore_whole(existing, print)
  state = of_seed(existing, restored.state, seed_index)
  return LoadedRun(existing.experiment, state, existing.config, restored.step)
