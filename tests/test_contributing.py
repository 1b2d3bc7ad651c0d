"""What CONTRIBUTING.md gives a contributor to paste works where it says to paste it."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
# The last path named before a snippet is where it goes: at the end of what is there.
SNIPPETS = re.findall(r"`((?:\w+/)+\w+\.py)`:\n\n```python\n(.*?)```", TEXT, re.DOTALL)
NEW = ("experiments/gaussian.py", "configs/gaussian.py")
CHECKS = ("conftest.py", "test_contract.py", "test_layout.py", "losses")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
  """A copy of the sources with every snippet pasted."""
  root = tmp_path_factory.mktemp("checkout")
  ignore = shutil.ignore_patterns("__pycache__")
  for part in ("jgm", "experiments", "configs"):
    shutil.copytree(ROOT / part, root / part, ignore=ignore)
  (root / "tests").mkdir()
  for name in CHECKS:
    source, target = ROOT / "tests" / name, root / "tests" / name
    copy = shutil.copytree if source.is_dir() else shutil.copy
    copy(source, target)
  shutil.copy(ROOT / "pyproject.toml", root)
  for path, snippet in SNIPPETS:
    file = root / path
    before = f"{file.read_text()}\n\n" if file.exists() else ""
    file.write_text(before + snippet)
  return root


def run(checkout, *arguments):
  """`python -m ...` there, with the sources that lie there."""
  ended = subprocess.run(
    [sys.executable, "-m", *arguments],
    cwd=checkout,
    env={**os.environ, "PYTHONPATH": str(checkout)},
    capture_output=True,
    text=True,
  )
  assert ended.returncode == 0, (ended.stdout + ended.stderr)[-3000:]
  return ended.stdout


def test_each_part_has_its_place():
  wanted = ["jgm/losses/regression.py", "tests/losses/test_regression.py", *NEW]
  assert [path for path, _ in SNIPPETS] == wanted
  assert TEXT.count("```python") == len(wanted)


def test_what_is_pasted_has_the_style(checkout):
  files = [path for path, _ in SNIPPETS]
  run(checkout, "ruff", "check", *files)
  run(checkout, "ruff", "format", "--check", *files)


def test_what_is_pasted_keeps_the_contract(checkout):
  tests = ["tests/test_contract.py", "tests/test_layout.py", "tests/losses"]
  options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow"]
  chosen = "charbonnier or (gaussian and not test_gaussian) or one_to_one"
  said = run(checkout, "pytest", *options, "-k", chosen, *tests)
  passed = int(re.search(r"(\d+) passed", said)[1])
  # The loss's test, the layout's of two files, one_to_one, the contract's own.
  assert passed >= 12, said
  assert "skipped" not in said


@pytest.mark.slow
def test_what_is_pasted_runs_everywhere(checkout):
  options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
  run(checkout, "pytest", *options, "-k", "gaussian", "tests/test_contract.py")


def test_what_is_pasted_trains(checkout, tmp_path):
  config = ["--config=configs/gaussian.py:smoke", f"--workdir={tmp_path / 'run'}"]
  run(checkout, "experiments.gaussian", *config)
  assert (tmp_path / "run" / "report.html").exists()
