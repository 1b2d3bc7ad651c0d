"""Makes a comparison visible: the table, the page, the poster, and the same as JSON."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from ml_collections import ConfigDict

from jgm.cli.console import print_message
from jgm.cli.run_folder import RunFolder
from jgm.cli.storage import replace_file
from jgm.compare.budget import words_of
from jgm.compare.console import print_table
from jgm.compare.entry import Entry, Failure
from jgm.compare.page import render_comparison
from jgm.compare.sheets import make_sheets, poster
from jgm.compare.table import make_table, ranking
from jgm.core.experiment import Dataset
from jgm.eval.pictures import png_bytes

PATIENCE = 0.2  # how far from the budget, as a share of it, training may have ended


def publish(
  folder: RunFolder,
  docstring: str,
  config: ConfigDict,
  data: Dataset,
  entries: Sequence[Entry],
  failures: Sequence[Failure],
) -> None:
  """Prints the table and writes report.html, results.json and samples.png.

  Args:
    folder: where; its facts go into the page.
    docstring: what the page begins with.
    config: the comparison's.
    data: what the methods were trained on.
    entries: the methods, all measured alike.
    failures: those that came to nothing. Where all did, there is only the JSON.
  """
  entries = ranking(entries, config.quantities[0])
  table = make_table(entries, failures, config.quantities)
  warnings = list(warnings_of(config.budget, entries))
  if entries:
    sheets = make_sheets(entries, data, config.quantities[0], config.num_shown)
    replace_file(folder.path / "samples.png", png_bytes(poster(sheets)))
    page = render_comparison(
      docstring=docstring,
      table=table,
      sheets=sheets,
      entries=entries,
      warnings=[*warnings, *_told(failures)],
      run=folder.facts,
      facts=_facts(folder, config, data),
    )
    replace_file(folder.path / "report.html", page.encode())
  text = json.dumps(to_json(folder, entries, failures), indent=2, allow_nan=False)
  replace_file(folder.path / "results.json", text.encode() + b"\n")
  print_table(table)
  for warning in warnings:
    print_message(f"warning: {warning}")
  for name in ("report.html", "samples.png", "results.json")[0 if entries else 2 :]:
    print_message(f"{folder.path / name}")


def warnings_of(budget: ConfigDict, entries: Sequence[Entry]) -> Iterator[str]:
  """What must be known of the methods, each with its name.

  Args:
    budget: the budget that each had.
    entries: the methods.

  Yields:
    One text for a method: what its evaluation warns of; and whether it trained for far
    longer or shorter than the budget, since the machine had more or less to do than
    while its step was timed.
  """
  for entry in entries:
    if found := [*entry.warnings, *_off_budget(budget, entry)]:
      yield f"{entry.name}: {'; '.join(found)}"


def to_json(
  folder: RunFolder, entries: Sequence[Entry], failures: Sequence[Failure]
) -> dict[str, Any]:
  """All that was measured, as JSON has it: a number that is not finite is null.

  Args:
    folder: its facts say by what command, config, versions and device.
    entries: the methods; all scalars of each are told, not only those of the table.
    failures: those that came to nothing.

  Returns:
    {..., "methods": {name: {...}}, "failures": {name: error}}.
  """
  methods = {
    entry.name: {
      "title": entry.title,
      "command": entry.command,
      "costs": entry.costs._asdict(),
      "scalars": {name: scalar._asdict() for name, scalar in entry.scalars.items()},
      "warnings": list(entry.warnings),
    }
    for entry in entries
  }
  failed = {failure.name: failure.error for failure in failures}
  return _finite({**folder.facts, "methods": methods, "failures": failed})


def _off_budget(budget: ConfigDict, entry: Entry) -> Iterator[str]:
  seconds = entry.costs.training_seconds
  if budget.kind != "seconds" or seconds is None:
    return
  share = seconds / budget.amount
  if abs(share - 1) > PATIENCE:
    yield (
      f"it trained for {seconds:.3g} s: its steps took {share:.3g} times as long as "
      "when they were timed"
    )


def _told(failures: Sequence[Failure]) -> list[str]:
  return [f"{failure.name} failed: {failure.error}" for failure in failures]


def _facts(folder: RunFolder, config: ConfigDict, data: Dataset) -> dict[str, Any]:
  facts, spec = folder.facts, data.spec
  return {
    "data": f"{data.name}: {spec.num_train:,} to train, {spec.num_test:,} held out",
    "budget": words_of(config.budget),
    "samples compared": config.eval.num_samples,
    "samples at a time": config.sample.chunk_size,
    "evaluation's seed": config.eval.seed,
    "device": facts["device"],
    "Python": facts["python"],
    "git commit": facts["git_commit"],
  }


def _finite(tree: Any) -> Any:
  if isinstance(tree, dict):
    return {key: _finite(value) for key, value in tree.items()}
  if isinstance(tree, list | tuple):
    return [_finite(value) for value in tree]
  if isinstance(tree, float) and not math.isfinite(tree):
    return None
  return tree
