"""Makes an evaluation visible: the pictures, the texts, and the report."""

from collections.abc import Sequence
from typing import Any

import jax

from jgm.cli.config import flatten
from jgm.cli.log import EvaluationLog
from jgm.cli.run import Run
from jgm.cli.storage import replace_file
from jgm.core.experiment import Evaluation
from jgm.core.state import PyTree
from jgm.data.text_spec import TextSpec
from jgm.eval.report import render


def publish(
  run: Run,
  log: EvaluationLog,
  evaluations: Sequence[Evaluation],
  state: PyTree,
  step: int,
) -> dict[str, Any]:
  """Writes the pictures and texts into `samples/`, and the report.

  Args:
    run: the run.
    log: its log, whose rows become the report's curves.
    evaluations: one per seed; pictures and texts are the first one's.
    state: the whole state that was evaluated.
    step: its step.

  Returns:
    Where to look: what -> path.
  """
  for caption, image in evaluations[0].images.items():
    log.write_image(step, caption, image)
  for caption, text in evaluations[0].texts.items():
    log.write_text(step, caption, text)
  facts = run.folder.facts
  rows = log.rows()
  page = render(
    title=run.folder.path.name,
    command=facts["command"],
    docstring=run.docstring,
    config=flatten(facts["config"]),
    versions=facts["versions"],
    rows=rows,
    evaluations=evaluations,
    facts={
      "steps": step,
      "seeds": run.config.num_seeds,
      "parameters": _num_parameters(run, state),
      "text": _corpus(run),
      "steps per second": _last(rows, "time/steps_per_second"),
      "device": facts["device"],
      "Python": facts["python"],
      "git commit": facts["git_commit"],
    },
  )
  report = run.folder.path / "report.html"
  replace_file(report, page.encode())
  return {"report": report, "samples": run.folder.samples}


def _num_parameters(run: Run, state: PyTree) -> int:
  total = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  return total // run.config.num_seeds


def _corpus(run: Run) -> str | None:
  """What text it was: it may be another with the next version of its source."""
  spec = None if run.experiment.data is None else run.experiment.data.spec
  return str(spec.corpus()) if isinstance(spec, TextSpec) else None


def _last(rows: Sequence[dict[str, Any]], name: str) -> float | None:
  return next((row[name] for row in reversed(rows) if name in row), None)
