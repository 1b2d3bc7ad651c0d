"""Opens a run, new or existing, with what it needs of other runs."""

import importlib
from collections.abc import Mapping
from typing import Any

import jax
from etils import epath
from ml_collections import ConfigDict

from jgm.cli.config import flatten, load_config, restore_config
from jgm.cli.console import print_message
from jgm.cli.errors import UserError, for_the_user
from jgm.cli.flags import Options, default_workdir, parse
from jgm.cli.log import read_rows
from jgm.cli.processes import (
  check_same_config,
  check_shared,
  first_says,
  is_first,
)
from jgm.cli.run import Make, Run, make_experiment, make_run, name_of
from jgm.cli.run_folder import (
  RunFolder,
  open_run_folder,
  read_facts,
  steps_taken,
  write_run_folder,
)
from jgm.cli.stopping import check_stop, standing
from jgm.cli.train import train_one_of_many
from jgm.core import checkpoint
from jgm.core.experiment import Pretrained
from jgm.core.program import abstract_state, base_key
from jgm.core.state import PyTree
from jgm.data.shapes import shapes_of


def run_to_train(options: Options, make: Make) -> Run:
  """The run that a command line trains: a new one, or the one that is in its folder.

  What is wrong with it is said before its folder is written.

  Args:
    options: the command line.
    make: config -> Experiment.

  Returns:
    The Run.

  Raises:
    UserError: if the config cannot be, or the folder holds another run.
  """
  return _run_of(load_config(options.config_spec, options.overrides), options, make)


def _run_of(config: ConfigDict, options: Options, make: Make) -> Run:
  """`run_to_train` of a config, which may be that of a run that is there."""
  check_same_config(config)
  check_stop(config)
  folder = open_run_folder(
    options.workdir,
    experiment=options.experiment,
    config_spec=options.config_spec,
    config=config,
    command=options.command,
  )
  needs = make_experiment(make, config).pretrained
  has_begun = first_says(bool(checkpoint.steps(str(folder.checkpoints))))
  if has_begun:
    _tell_of_a_new_end(read_facts(options.workdir)["config"], config)
  loaded = abstract_pretrained(needs) if has_begun else load_pretrained(needs)
  run = make_run(make, config, folder, loaded)
  arrays = _arrays_of_a_call(run)
  with for_the_user(ValueError, doing="tracing the step"):
    run.program.trace(arrays)
  if is_first():
    write_run_folder(folder)
  check_shared(folder.path)
  return run


def _arrays_of_a_call(run: Run) -> PyTree:
  """Their shapes at least; what is wrong with the data is raised."""
  data = run.experiment.data
  if data is not None and data.shapes is not None:
    data.arrays(0, 1, run.program.rows)
  return shapes_of(data, run.program.steps_per_call)


def existing_run(
  workdir: epath.Path, make: Make | None = None, overrides: tuple[str, ...] = ()
) -> Run:
  """The run in a folder, as it was configured, for its checkpoints to be read.

  Args:
    workdir: the run's folder.
    make: its experiment's `make`; None imports it by the name in config.json.
    overrides: "x.y=value", of what may change in a run.

  Returns:
    The Run.

  Raises:
    UserError: if there is no run, or it is one of another experiment.
  """
  facts = read_facts(workdir)
  make = make or _make_of(facts["experiment"])
  if name_of(make) != facts["experiment"]:
    raise UserError(
      f"{workdir} holds a run of {facts['experiment']}, not of {name_of(make)}"
    )
  config = restore_config(facts["config_spec"], facts["config"], overrides)
  # Whatever it was trained on: to read it, one device of this process is enough.
  config.parallel.update(strategy="jit", data_devices=1, model_devices=1, fsdp=False)
  shapes = abstract_pretrained(make_experiment(make, config).pretrained)
  folder, device = RunFolder(workdir, facts), jax.local_devices()[:1]
  return make_run(make, config, folder, shapes, device)


def load_pretrained(needs: Mapping[str, Pretrained]) -> dict[str, PyTree]:
  """What an experiment needs of other runs; those that are missing are trained first.

  Args:
    needs: the experiment's `pretrained`.

  Returns:
    The fields of the other runs' states, by name: of the first seed, where there are
    several.
  """
  return {name: _load(name, need) for name, need in needs.items()}


def abstract_pretrained(needs: Mapping[str, Pretrained]) -> dict[str, PyTree]:
  """The shapes of what `load_pretrained` loads. Nothing is loaded, nothing trained.

  Args:
    needs: the experiment's `pretrained`.

  Returns:
    Trees of `jax.ShapeDtypeStruct`, by name.
  """
  return {name: _abstract(need) for name, need in needs.items()}


def _load(name: str, need: Pretrained) -> PyTree:
  make, workdir = _make_of(need.experiment), _workdir_of(need)
  _check_agreement(name, need)  # before minutes of training
  if not first_says(_has_ended(need)):
    print_message(f"{name}: training {need.experiment} in {workdir} first")
    train_one_of_many(_needed_run(need, make))
  run = existing_run(workdir, make)
  restored = checkpoint.restore(
    str(run.folder.checkpoints),
    getattr(run.program.abstract, need.field),
    field=need.field,
    warn=print_message,
  )
  print_message(f"{name}: {need.field} of {workdir} at step {restored.step}")
  state = jax.device_get(restored.state)  # the program says where it is to lie
  return state if run.config.num_seeds == 1 else jax.tree.map(lambda x: x[0], state)


def _has_ended(need: Pretrained) -> bool:
  """Whether the other run is there, and at its own end: the last step, or an early one.

  A row after the newest checkpoint does not count: a run that goes on cuts it off.
  """
  workdir, config = _workdir_of(need), _config_of(need)
  taken = steps_taken(workdir)
  if taken >= config.total_steps or config.stop.metric is None:
    return taken >= config.total_steps
  rows = read_rows(workdir / "metrics.jsonl")
  best = standing([row for row in rows if row["step"] <= taken], **config.stop)
  return best is not None and best.is_over


def _needed_run(need: Pretrained, make: Make) -> Run:
  """The other run, to be trained: a new one, or one that was left before its end."""
  workdir = _workdir_of(need)
  arguments = [f"--config={need.config}", f"--workdir={workdir}"]
  options = parse(make, arguments)
  if (workdir / "config.json").exists():
    facts = read_facts(workdir)
    spec, command = facts["config_spec"], facts["command"]
    options = options._replace(config_spec=spec, command=command)
  return _run_of(_config_of(need), options, make)


def _abstract(need: Pretrained) -> PyTree:
  make, config = _make_of(need.experiment), _config_of(need)
  experiment = make_experiment(make, config)
  shapes = abstract_pretrained(experiment.pretrained)
  return getattr(abstract_state(experiment.init, base_key(0), shapes), need.field)


def _config_of(need: Pretrained) -> ConfigDict:
  """The other run's: as it was trained; else as it would be."""
  workdir = _workdir_of(need)
  if not (workdir / "config.json").exists():
    return load_config(need.config)
  facts = read_facts(workdir)
  return restore_config(facts["config_spec"], facts["config"])


def _check_agreement(name: str, need: Pretrained) -> None:
  """Raises a UserError where the other run's config is not what it must be."""
  found = flatten(_config_of(need))
  for key, wanted in need.agrees:
    if found.get(key) != wanted:
      raise UserError(
        f"{name}: the run of {need.experiment} in {_workdir_of(need)} has "
        f"config.{key}={found.get(key)!r}, and here it is {wanted!r}: they must agree"
      )


def _workdir_of(need: Pretrained) -> epath.Path:
  return epath.Path(need.workdir or default_workdir(need.experiment, need.config))


def _make_of(experiment: str) -> Make:
  return importlib.import_module(f"experiments.{experiment}").make


def _tell_of_a_new_end(old: Mapping[str, Any], config: ConfigDict) -> None:
  """Says what a changed `total_steps` does to a learning rate that decays over it."""
  total_steps = config.total_steps
  decays = [
    value
    for key, value in flatten(config).items()
    if key.split(".")[-1] == "decay" and value != "constant"
  ]
  if old["total_steps"] != total_steps and decays:
    print_message(
      f"total_steps was {old['total_steps']} and is {total_steps}: the learning rate's "
      f"{decays[0]} decay now ends at step {total_steps}, so the rate jumps here"
    )
