"""The folder is the role: who may import whom, and what no file may do."""

import ast
import pathlib

import pytest

from experiments.__main__ import describe, names
from jgm.cli.config import flatten, load_config

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
  "plan": {"core", "cache", "data"},
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


def keys_read(file):
  """The keys "x.y" that a file reads of a config, each as far as it is written out."""
  tree = ast.parse(file.read_text())
  attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
  inner = {id(node.value) for node in attributes}
  for node in attributes:
    if isinstance(node.ctx, ast.Load) and id(node) not in inner:
      _, config, key = f".{ast.unparse(node)}".partition(".config.")
      if config:
        yield key.removesuffix(".items")


@pytest.mark.parametrize("name", names())
def test_each_key_of_a_config_is_read(name):
  """By the experiment or the command line: alone, or with all of its section.

  A section that is passed on whole is read by its keywords, and an unknown one raises.
  """
  own = [ROOT / "experiments" / f"{name}.py", *ROOT.glob(f"jgm/{name}/*.py")]
  read = {key for file in [*own, *ROOT.glob("jgm/cli/*.py")] for key in keys_read(file)}
  unread = [
    key
    for key in flatten(load_config(str(ROOT / "configs" / f"{name}.py")))
    if not any(f"{key}.".startswith(f"{section}.") for section in read)
  ]
  assert not unread


@pytest.mark.parametrize("name", names())
def test_an_experiment_begins_with_its_references(name):
  """The title, the papers, lines of links alone, and only then what it does."""
  file = ROOT / "experiments" / f"{name}.py"
  lines = ast.get_docstring(ast.parse(file.read_text())).splitlines()
  links = [i for i, line in enumerate(lines) if "http" in line]
  for i in links:
    assert all(word.startswith("https://") for word in lines[i].split()), lines[i]
  if name == "compare":  # of no paper
    assert not links
  else:
    first, last = links[0], links[-1]
    assert lines[1] == "" and "" not in lines[2:first] and lines[last + 1] == ""
    assert links == list(range(first, last + 1))
    assert describe(name)[1] == lines[first]


def test_configs_are_read_as_attributes():
  """`config.get("typo")` is None in silence."""
  for file in FILES:
    assert "config.get(" not in file.read_text(), file
