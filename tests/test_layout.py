"""The folder is the role: who may import whom, and what no file may do."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("jgm/**/*.py"), *ROOT.glob("experiments/*.py")])
ANY = None
# room -> the rooms of jgm that it may import beside itself
MAY_IMPORT = {
  "core": set(),
  "environments": set(),
  "losses": {"noise"},
  "models": set(),
  "noise": set(),
  "ot": set(),
  "samplers": {"noise"},
  "cache": set(),
  "data": {"core", "cache", "noise", "losses", "models", "ot", "samplers"},
  "eval": {
    "core",
    "cache",
    "data",
    "environments",
    "noise",
    "losses",
    "models",
    "ot",
    "policy",
    "samplers",
  },
  "plan": {"core", "data"},
  "policy": {"core", "data", "losses", "models", "samplers"},
}


def imports(file):
  for node in ast.walk(ast.parse(file.read_text())):
    if isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{file}: imports are written in full"
      yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_dependencies_go_one_way(file):
  parts = file.relative_to(ROOT).with_suffix("").parts
  for name in imports(file):
    assert not name.startswith("jax._src") and "._src." not in name, name
    if parts[0] == "jgm":
      # The command line finds experiments by name, at run time.
      assert not name.startswith(("experiments", "configs")), name
      room = parts[1]
      if name.startswith("jgm.") and room in MAY_IMPORT:
        other = name.split(".")[1]
        assert other == room or other in MAY_IMPORT[room], f"{room} imports {name}"


def test_no_file_is_named_for_nothing():
  assert not [file for file in FILES if file.stem in ("utils", "helpers", "misc")]


def test_configs_are_read_as_attributes():
  """`config.get("typo")` is None in silence."""
  for file in FILES:
    assert "config.get(" not in file.read_text(), file
