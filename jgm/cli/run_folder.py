"""A run's folder: who may use it, and what it says about the run."""

import importlib.metadata
import json
import platform
import subprocess
from typing import Any, NamedTuple

import jax
from etils import epath
from ml_collections import ConfigDict

from jgm.cli.config import ROOT, differing_keys
from jgm.cli.errors import UserError
from jgm.cli.storage import replace_file
from jgm.core import checkpoint

PACKAGES = ("jgm", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class RunFolder(NamedTuple):
  """Where everything of one run lies."""

  path: epath.Path
  facts: dict[str, Any]  # what config.json says

  @property
  def checkpoints(self) -> epath.Path:
    """The folder of the checkpoints."""
    return self.path / "checkpoints"

  @property
  def samples(self) -> epath.Path:
    """The folder of the pictures."""
    return self.path / "samples"


def steps_taken(workdir: epath.Path) -> int:
  """The steps of a run up to its newest checkpoint; 0 where there is none."""
  directory = RunFolder(workdir, {}).checkpoints
  return max(checkpoint.steps(str(directory)), default=0)


def open_run_folder(
  path: epath.Path,
  *,
  experiment: str,
  config_spec: str,
  config: ConfigDict,
  command: str,
) -> RunFolder:
  """What a run's folder is to hold; nothing is written, so a mistake leaves no trace.

  Args:
    path: the folder.
    experiment: the experiment's name.
    config_spec: the config's file and preset, as on the command line.
    config: the config.
    command: the command line that made the run.

  Returns:
    The RunFolder.

  Raises:
    UserError: if the folder holds a run of another experiment or config (the keys that
      differ are named).
  """
  facts = {
    "experiment": experiment,
    "config_spec": config_spec,
    "command": command,
    "config": _plain(config),
    "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    "python": platform.python_version(),
    "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
    "git_commit": _git_commit(),
  }
  if (path / "config.json").exists():
    _check_same_run(path, read_facts(path), facts)
  return RunFolder(path, facts)


def write_run_folder(folder: RunFolder) -> None:
  """Makes the folder and writes its config.json.

  Args:
    folder: what `open_run_folder` returned.

  Raises:
    UserError: if it cannot be written.
  """
  text = json.dumps(folder.facts, indent=2) + "\n"
  try:
    folder.samples.mkdir(parents=True, exist_ok=True)
    replace_file(folder.path / "config.json", text.encode())
  except OSError as error:
    raise UserError(
      f"the run folder {folder.path} cannot be written: {error}"
    ) from error


def read_facts(path: epath.Path) -> dict[str, Any]:
  """What config.json in the folder says.

  Args:
    path: a run's folder.

  Returns:
    Its experiment, config, command, versions, device and git commit.

  Raises:
    UserError: if there is no run there.
  """
  try:
    return json.loads((path / "config.json").read_text())
  except FileNotFoundError as error:
    raise UserError(f"there is no run in {path}: it has no config.json") from error
  except (OSError, ValueError) as error:
    raise UserError(f"{path / 'config.json'} cannot be read: {error}") from error


def _check_same_run(path: epath.Path, old: dict, new: dict) -> None:
  differing = differing_keys(old["config"], new["config"])
  if old["experiment"] != new["experiment"]:
    differing.insert(
      0, f"experiment: {old['experiment']} there, {new['experiment']} here"
    )
  if differing:
    raise UserError(
      f"{path} holds a run of another config:\n  "
      + "\n  ".join(differing)
      + "\nGive this run a --workdir of its own, or delete that one."
    )


def _plain(config: ConfigDict) -> dict[str, Any]:
  return json.loads(json.dumps(config.to_dict()))


def _git_commit() -> str | None:
  describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40"]
  try:
    answer = subprocess.run(describe, capture_output=True, text=True, timeout=5)
  except (OSError, subprocess.TimeoutExpired):
    return None
  return answer.stdout.strip() or None
