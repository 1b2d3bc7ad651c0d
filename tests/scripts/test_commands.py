"""Each `python -m experiments` of the scripts is one that jgm's own flags take."""

import importlib
import os
import pathlib
import re
import shlex
import subprocess
import tomllib

import pytest
import yaml

from jgm.cli.flags import parse

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").iterdir())
NODES = {
  "WORKDIR": "gs://bucket/ddpm",
  "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
  "SKYPILOT_NUM_NODES": "2",
  "SKYPILOT_NODE_RANK": "1",
}


def parsed(words):
  """The options of a command line, given as its words from `experiments.NAME` on."""
  return parse(importlib.import_module(words[0]).make, words[1:])


def skypilot(name):
  return yaml.safe_load((ROOT / "scripts" / name).read_text())


def test_what_the_scripts_show_can_be_parsed():
  shown = re.compile(r"^(?: |# ).*python -m (experiments\.[a-z_]+ .*)$", re.MULTILINE)
  commands = [line for script in SCRIPTS for line in shown.findall(script.read_text())]
  for line in commands:
    if "$" not in line:
      options = parsed(shlex.split(line))
      assert options.mode == "train" and options.workdir.name == "ddpm"
  assert len(commands) >= 4


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
  assert options.processes == processes


@pytest.mark.parametrize("name", ["skypilot_tpu.yaml", "skypilot_gpu.yaml"])
def test_a_node_is_set_up_from_the_checkout(name):
  task = skypilot(name)
  assert task["workdir"] == "." and task["resources"]["use_spot"] is True
  assert task["envs"] == {"WORKDIR": None}
  subprocess.run(["bash", "-n", "-c", task["setup"]], check=True)
  assert ("tpu" in task["resources"]["accelerators"]) == ("num_nodes" not in task)


def test_what_is_installed_exists():
  project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
  asked = [re.findall(r"'\.\[(\w+)\]'", script.read_text()) for script in SCRIPTS]
  extras = {extra for found in asked for extra in found}
  assert extras == {"tpu", "gpu"} and extras <= set(project["optional-dependencies"])
  assert (ROOT / "constraints.txt").exists()


@pytest.mark.parametrize(
  "script", [s for s in SCRIPTS if s.suffix == ".sh"], ids=lambda s: s.name
)
def test_a_shell_can_read_it(script):
  subprocess.run(["bash", "-n", script], check=True)
  assert script.stat().st_mode & 0o111 and "set -euo pipefail" in script.read_text()
