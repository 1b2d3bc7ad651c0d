"""What the scripts and the README tell one to run is what jgm's own flags take."""

import importlib
import os
import pathlib
import re
import shlex
import subprocess
import tomllib

import pytest
import yaml

from jgm.cli.config import load_config
from jgm.cli.flags import parse
from jgm.data import prepare

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").iterdir())
README = (ROOT / "README.md").read_text()
POD = README.split("## From a laptop to a pod")[1].split("\n## ")[0]
TEXTS = [*(script.read_text() for script in SCRIPTS), POD]
NODES = {
  "DATA_DIR": "gs://bucket/data",
  "WORKDIR": "gs://bucket/ddpm",
  "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
  "SKYPILOT_NUM_NODES": "2",
  "SKYPILOT_NODE_RANK": "1",
}


def parsed(words):
  """The options of a command line, given as its words from `experiments.NAME` on."""
  return parse(importlib.import_module(words[0]).make, words[1:])


def data_of(options):
  """The name of the dataset of a command line, and where it lies."""
  data = load_config(options.config_spec, options.overrides).data
  return data.name, data.data_dir


def skypilot(name):
  return yaml.safe_load((ROOT / "scripts" / name).read_text())


def shown(module):
  """The words from a module on, wherever a line tells one to run it; no variables."""
  line = re.compile(rf"python -m ({module} [^`$\n]*)(?:`.*)?$", re.MULTILINE)
  found = [each for text in TEXTS for each in line.findall(text)]
  return [shlex.split(each, comments=True) for each in found if each[-1] != "\\"]


def test_what_is_shown_can_be_parsed():
  commands = [parsed(words) for words in shown("experiments[.][a-z]+")]
  trains = [options for options in commands if options.mode == "train"]
  for options in trains:
    name, data_dir = data_of(options)
    assert options.workdir.name == "ddpm"
    # What is not embedded lies beside the workdir, which every machine sees.
    if name != "digits":
      assert data_dir == str(options.workdir).removesuffix("ddpm") + "data"
  assert [data_of(options)[0] for options in trains].count("cifar10") == 4


def test_the_data_are_prepared_before_they_are_read(monkeypatch):
  prepared = []
  monkeypatch.setattr(prepare, "prepare", lambda *given: prepared.append(given) or "")
  for _, *words in shown("jgm[.]data[.]prepare"):
    prepare.main(words)
  # ArrayRecords are written to a disk; a bucket gets a copy of them.
  assert {("cifar10", "data"), ("cifar10", "/shared/data")} == set(prepared)
  copied = "gcloud storage rsync --recursive data/cifar10 gs://BUCKET/data/cifar10\n"
  for text in TEXTS:
    assert (copied in text) == ("gs://BUCKET/data " in text)


@pytest.mark.parametrize(
  ("name", "processes"),
  [
    ("skypilot_tpu.yaml", (None, None, None)),
    ("skypilot_gpu.yaml", ("10.0.0.1:8476", 2, 1)),
  ],
)
def test_what_a_node_runs_can_be_parsed(name, processes, tmp_path):
  bin = tmp_path / ".venv/bin"
  bin.mkdir(parents=True)
  (bin / "activate").write_text(f"PATH={bin}:$PATH\n")
  (bin / "python").write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
  (bin / "python").chmod(0o755)
  env = {"PATH": os.environ["PATH"], **NODES}
  said = subprocess.check_output(
    ["bash", "-c", skypilot(name)["run"]], cwd=tmp_path, env=env, text=True
  )
  flag, *words = said.split("\0")[:-1]
  options = parsed(words)
  assert flag == "-m" and str(options.workdir) == "gs://bucket/ddpm"
  assert data_of(options) == ("cifar10", "gs://bucket/data")
  assert options.processes == processes


@pytest.mark.parametrize("name", ["skypilot_tpu.yaml", "skypilot_gpu.yaml"])
def test_a_node_is_set_up_from_the_checkout(name):
  task = skypilot(name)
  assert task["workdir"] == "." and task["resources"]["use_spot"] is True
  assert task["envs"] == {"DATA_DIR": None, "WORKDIR": None}
  subprocess.run(["bash", "-n", "-c", task["setup"]], check=True)
  assert ("tpu" in task["resources"]["accelerators"]) == ("num_nodes" not in task)


def test_what_is_installed_exists():
  project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
  asked = [re.findall(r"'\.\[(\w+)\]'", text) for text in TEXTS]
  extras = {extra for found in asked for extra in found}
  assert extras == {"tpu", "gpu", "tfds"}
  assert extras <= set(project["optional-dependencies"])
  assert (ROOT / "constraints.txt").exists()


@pytest.mark.parametrize(
  "script", [s for s in SCRIPTS if s.suffix == ".sh"], ids=lambda s: s.name
)
def test_a_shell_can_read_it(script):
  subprocess.run(["bash", "-n", script], check=True)
  assert script.stat().st_mode & 0o111 and "set -euo pipefail" in script.read_text()
