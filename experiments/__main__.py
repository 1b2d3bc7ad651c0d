"""Lists the experiments: the method, the paper, the presets. Imports none of them."""

import ast
import pathlib

from rich.console import Console
from rich.table import Table

HERE = pathlib.Path(__file__).parent


def names() -> list[str]:
  """The names of the experiments: the files beside this one."""
  return sorted(file.stem for file in HERE.glob("[!_]*.py"))


def describe(name: str) -> tuple[str, str, list[tuple[str, str]]]:
  """An experiment's title, its paper, and its presets with what they are.

  Args:
    name: its file's name.

  Returns:
    The first line of its docstring, the line of the reference, and the presets.
  """
  docstring = ast.get_docstring(_parsed(HERE / f"{name}.py")) or ""
  title, *lines = docstring.splitlines()
  paper = next((line.strip() for line in lines if "http" in line), "")
  config = _parsed(HERE.parent / "configs" / f"{name}.py")
  presets = [
    (node.name, (ast.get_docstring(node) or "").splitlines()[0])
    for node in config.body
    if isinstance(node, ast.FunctionDef)
    and not node.name.startswith("_")
    and [a.arg for a in node.args.args] == ["config"]
  ]
  return title, paper, presets


def main() -> None:
  """Prints the table."""
  table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
  for column in ("experiment", "method and paper", "presets"):
    table.add_column(column, overflow="fold")
  for name in names():
    title, paper, presets = describe(name)
    lines = "\n".join(f":{preset}  {what}" for preset, what in presets)
    table.add_row(name, f"{title}\n{paper}", lines)
  console = Console(highlight=False)
  console.print(table)
  console.print(
    "\npython -m experiments.NAME --config=configs/NAME.py[:PRESET] [--help]"
  )


def _parsed(file: pathlib.Path) -> ast.Module:
  return ast.parse(file.read_text())


if __name__ == "__main__":
  main()
