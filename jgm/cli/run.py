"""A run: one experiment bound to its config and its folder."""

import inspect
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from jgm.cli.errors import UserError, for_the_user
from jgm.cli.run_folder import RunFolder
from jgm.core import checkpoint
from jgm.core.experiment import Evaluation, Experiment
from jgm.core.parallel import make_program
from jgm.core.placing import gathered
from jgm.core.program import Program, base_key
from jgm.core.state import PyTree

Make = Callable[[ConfigDict], Experiment]
DTYPES = ("float32", "bfloat16")


class Run(NamedTuple):
  """What every mode of the command line works on."""

  name: str
  config: ConfigDict
  experiment: Experiment
  program: Program
  folder: RunFolder
  docstring: str  # of the experiment's file: what the report is headed with


def name_of(make: Make) -> str:
  """An experiment's name: that of the file in which its `make` is written.

  Args:
    make: config -> Experiment.

  Returns:
    "ddpm" for what experiments/ddpm.py makes.
  """
  return pathlib.Path(inspect.getfile(inspect.unwrap(make))).stem


def make_experiment(make: Make, config: ConfigDict) -> Experiment:
  """`make(config)`, with what is wrong about the config said in one line.

  Args:
    make: config -> Experiment.
    config: the config.

  Returns:
    The Experiment.

  Raises:
    UserError: if a value of the config is none of those that there are.
  """
  if config.dtype not in DTYPES:
    raise UserError(f"config.dtype={config.dtype!r}: it is one of {', '.join(DTYPES)}")
  with for_the_user(ValueError, OSError):
    return make(config)


def make_run(
  make: Make,
  config: ConfigDict,
  folder: RunFolder,
  pretrained: Mapping[str, PyTree] | None = None,
  devices: Sequence[jax.Device] | None = None,
) -> Run:
  """Builds an experiment and the program that runs it; nothing is compiled yet.

  Args:
    make: the `make` of the experiment's file.
    config: its config.
    folder: the run's folder.
    pretrained: what the experiment asks for of other runs, by name; their shapes are
      enough for a run that has begun.
    devices: those to use; None is all there are.

  Returns:
    The Run.

  Raises:
    UserError: if the config's values do not go together.
  """
  experiment = make_experiment(make, config)
  program = make_config_program(experiment, config, pretrained, devices)
  docstring = sys.modules[make.__module__].__doc__ or ""
  return Run(name_of(make), config, experiment, program, folder, docstring)


def make_config_program(
  experiment: Experiment,
  config: ConfigDict,
  pretrained: Mapping[str, PyTree] | None,
  devices: Sequence[jax.Device] | None = None,
) -> Program:
  """The program of a config's sections, with what is wrong said in one line.

  Args:
    experiment: what it is of.
    config: its config.
    pretrained: see `make_run`.
    devices: those of the mesh; None is all there are.

  Returns:
    The Program.

  Raises:
    UserError: if the config's values do not go together.
  """
  parallel = config.parallel
  _check_flatten(config)
  with for_the_user(ValueError, OSError):
    return make_program(
      experiment,
      pretrained,
      strategy=parallel.strategy,
      num_seeds=config.num_seeds,
      steps_per_call=parallel.steps_per_call,
      data_devices=parallel.data_devices,
      model_devices=parallel.model_devices,
      fsdp=parallel.fsdp,
      devices=devices,
    )


def _check_flatten(config: ConfigDict) -> None:
  """Raises where leaves are to be cut each, and to be updated as one vector."""
  cut = config.parallel.fsdp or config.parallel.model_devices > 1
  for section, values in config.items():
    if cut and section.endswith("optimizer") and values.flatten:
      raise UserError(
        f"config.{section}.flatten joins what config.parallel.fsdp and model_devices "
        "cut: set it to False"
      )


def restore_whole(run: Run, warn: Callable[[str], None]) -> checkpoint.Restored:
  """The whole state of the newest good checkpoint, for evaluating and sampling.

  Args:
    run: the run.
    warn: is told of damaged checkpoints.

  Returns:
    The state, its step and its metadata.

  Raises:
    UserError: if the run has no checkpoint yet.
  """
  directory = str(run.folder.checkpoints)
  if not checkpoint.steps(directory):
    raise UserError(f"{run.folder.path} has no checkpoint yet: train it first")
  return checkpoint.restore(directory, run.program.abstract, warn=warn)


def of_seed(run: Run, state: PyTree, index: int) -> PyTree:
  """The training state of one of the run's seeds.

  Args:
    run: the run.
    state: its whole state.
    index: which seed, from 0.

  Returns:
    The state, without the seeds' axis.
  """
  if run.config.num_seeds == 1:
    return state
  return jax.tree.map(lambda leaf: leaf[index], state)


def evaluate(run: Run, state: PyTree) -> list[Evaluation]:
  """Evaluates each seed's state, by the config's evaluation seed.

  Args:
    run: the run.
    state: its whole state, of which every process has its part.

  Returns:
    One Evaluation per seed.

  Raises:
    UserError: if a value of the config is one that the evaluation cannot take.
  """
  seed = run.config.eval.seed
  # The optimiser's part is of no use here, and twice as large as the rest.
  state = gathered(state.replace(opt_state=()))
  with for_the_user(ValueError, doing="evaluating"):
    return [
      run.experiment.evaluate(of_seed(run, state, i), base_key(seed, "evaluate"))
      for i in range(run.config.num_seeds)
    ]


def logged_scalars(evaluations: list[Evaluation]) -> dict[str, Any]:
  """The evaluations as a row of the log: "eval/NAME" -> a value, or one per seed."""
  names = evaluations[0].scalars
  values = {
    f"eval/{name}": [float(each.scalars[name].value) for each in evaluations]
    for name in names
  }
  if len(evaluations) > 1:
    return values
  return {name: value for name, (value,) in values.items()}
