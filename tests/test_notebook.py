"""The notebook runs from top to bottom, and is committed without outputs."""

import functools
import pathlib

import nbformat
import pytest
from nbclient import NotebookClient

from experiments import ddpm
from jgm.cli.main import main
from jgm.core import Evaluation

NOTEBOOK = pathlib.Path(__file__).parents[1] / "notebooks" / "sample.ipynb"


@pytest.fixture
def tiny_run(tmp_path):
  @functools.wraps(ddpm.make)  # keeps the file, which names the experiment
  def make(config):
    return ddpm.make(config)._replace(evaluate=lambda state, key: Evaluation({}, {}))

  arguments = ["--config=configs/ddpm.py:smoke", "--config.total_steps=4"]
  devices = "--config.parallel.data_devices=1"
  main(make, [*arguments, devices, f"--workdir={tmp_path / 'run'}"])
  return tmp_path / "run"


def test_it_is_committed_without_outputs():
  for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
    assert cell.get("outputs", []) == [] and cell.get("execution_count") is None


def test_it_runs_and_shows_pictures(tiny_run, monkeypatch):
  monkeypatch.setenv("JGM_RUN", str(tiny_run))
  monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
  monkeypatch.setenv("PYTHONWARNINGS", "error:::jgm")
  notebook = nbformat.read(NOTEBOOK, as_version=4)
  NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
  outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
  said = "".join(output.get("text", "") for output in outputs)
  assert "digits, step 4" in said and "held out:" in said
  assert not [output for output in outputs if output.get("name") == "stderr"]
  pictures = [o for o in outputs if "image/png" in o.get("data", {})]
  assert len(pictures) == 3
