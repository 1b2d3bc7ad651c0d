"""What each `--mode` does."""

import importlib
from collections.abc import Mapping

import jax
from etils import epath

from jgm.cache import cache_dir
from jgm.cli.config import load_config, restore_config
from jgm.cli.console import print_message, print_results, print_warnings
from jgm.cli.flags import Options, default_workdir, parse
from jgm.cli.run import (
  Make,
  Run,
  evaluate,
  make_experiment,
  make_run,
  restore_whole,
)
from jgm.cli.run_folder import (
  RunFolder,
  open_run_folder,
  read_facts,
  write_run_folder,
)
from jgm.cli.sample import sample
from jgm.cli.train import train
from jgm.core import checkpoint
from jgm.core.experiment import Pretrained
from jgm.core.state import PyTree


def run_command(options: Options, make: Make) -> None:
  """Does what a command line says.

  Args:
    options: the command line.
    make: config -> Experiment.
  """
  configure_jax()
  if options.mode == "train":
    train(_new_or_left_run(options, make))
    return
  run = existing_run(options.workdir, make, options.overrides)
  if options.mode == "sample":
    sample(run, options)
  else:
    _evaluate(run)


def configure_jax() -> None:
  """Compiled programs are kept, so that a second run starts within seconds."""
  jax.config.update("jax_compilation_cache_dir", str(cache_dir("xla")))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
  jax.config.update("jax_threefry_partitionable", True)  # or draws vary with devices


def existing_run(
  workdir: epath.Path, make: Make | None = None, overrides: tuple[str, ...] = ()
) -> Run:
  """The run in a folder, as it was configured.

  Args:
    workdir: the run's folder.
    make: its experiment's `make`; None imports it by the name in config.json.
    overrides: "x.y=value", of what may change in a run.

  Returns:
    The Run.

  Raises:
    UserError: if there is no run.
  """
  facts = read_facts(workdir)
  if make is None:
    make = _make_of(facts["experiment"])
  config = restore_config(facts["config_spec"], facts["config"], overrides)
  # Whatever it was trained on: to read it, one device is enough.
  config.parallel.update(strategy="jit", data_devices=1, model_devices=1)
  needs = load_pretrained(make_experiment(make, config).pretrained)
  return make_run(facts["experiment"], make, config, RunFolder(workdir, facts), needs)


def load_pretrained(needs: Mapping[str, Pretrained]) -> dict[str, PyTree]:
  """What an experiment needs of other runs; those that are missing are trained first.

  Args:
    needs: the experiment's `pretrained`.

  Returns:
    The fields of the other runs' states, by name.
  """
  loaded = {}
  for name, need in needs.items():
    make = _make_of(need.experiment)
    workdir = epath.Path(default_workdir(need.experiment, need.config))
    total_steps = load_config(need.config).total_steps
    if max(checkpoint.steps(str(workdir / "checkpoints")), default=0) < total_steps:
      print_message(f"{name}: training {need.experiment} in {workdir} first")
      run_command(parse(need.experiment, [f"--config={need.config}"]), make)
    run = existing_run(workdir, make)
    loaded[name] = checkpoint.restore(
      str(run.folder.checkpoints),
      getattr(run.program.abstract, need.field),
      field=need.field,
      warn=print_message,
    ).state
  return loaded


def _new_or_left_run(options: Options, make: Make) -> Run:
  config = load_config(options.config_spec, options.overrides)
  folder = open_run_folder(
    options.workdir,
    experiment=options.experiment,
    config_spec=options.config_spec,
    config=config,
    command=options.command,
  )
  needs = load_pretrained(make_experiment(make, config).pretrained)
  run = make_run(options.experiment, make, config, folder, needs)
  if run.experiment.data is not None:  # data that are not there leave no folder either
    run.experiment.data.arrays(0, config.parallel.steps_per_call)
  write_run_folder(folder)
  return run


def _make_of(experiment: str) -> Make:
  return importlib.import_module(f"experiments.{experiment}").make


def _evaluate(run: Run) -> None:
  restored = restore_whole(run, print_message)
  print_message(f"evaluating at step {restored.step}")
  evaluations = evaluate(run, restored.state)
  print_results([evaluation.scalars for evaluation in evaluations])
  print_warnings(evaluations)
