"""A run's report: one page of HTML with everything in it, for people to read."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jgm.core.experiment import Evaluation
from jgm.eval.curves import Rows, curve_svg, metric_names, series
from jgm.eval.page import (
  command_line,
  details,
  escape,
  facts_list,
  figure,
  fill_page,
  introduction_of,
  number,
  prose,
  warnings_box,
)
from jgm.eval.results import Result, format_values, results


def render(
  *,
  title: str,
  command: str,
  docstring: str,
  config: Mapping[str, Any],
  versions: Mapping[str, str],
  rows: Rows,
  evaluations: Sequence[Evaluation],
  facts: Mapping[str, Any] | None = None,
) -> str:
  """The page: self-contained, without scripts and without the network.

  Args:
    title: the name of the run, such as "ddpm" or "ddpm:cifar10".
    command: the command line that made the run.
    docstring: the experiment's; the page begins with the head of it.
    config: the run's config, flat: {"model.width": 64}.
    versions: package -> version.
    rows: the rows of metrics.jsonl, for the curves.
    evaluations: the last evaluation of each seed; one where there is one seed.
    facts: what is worth knowing of the run: steps, time, device, git commit, ...

  Returns:
    The page, the same for the same run.
  """
  heading, introduction = introduction_of(docstring, title)
  return fill_page(
    title=escape(f"{title} – jgm"),
    kicker=escape(title),
    heading=heading,
    introduction=introduction,
    command=command_line(command),
    warnings=warnings_box(w for each in evaluations for w in each.warnings),
    texts=_texts(evaluations),
    figures=_figures(evaluations),
    numbers=_numbers(evaluations),
    curves=_curves(rows, evaluations),
    facts=facts_list(facts or {}),
    details=details(docstring, config, versions),
  )


def _figures(evaluations: Sequence[Evaluation]) -> str:
  shown = _of_each_seed([evaluation.images for evaluation in evaluations])
  return "\n".join(figure(words, np.asarray(picture)) for words, picture in shown)


def _of_each_seed(evaluated: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any]]:
  """All that the first seed has, and the first of each of the others, with captions."""
  shown = []
  for seed, by_caption in enumerate(evaluated):
    for caption, what in list(by_caption.items())[: None if seed == 0 else 1]:
      words = caption if len(evaluated) == 1 else f"{caption} (seed {seed})"
      shown.append((words, what))
  return shown


def _texts(evaluations: Sequence[Evaluation]) -> str:
  shown = _of_each_seed([evaluation.texts for evaluation in evaluations])
  return "\n".join(
    f"<figure><figcaption>{prose(words)}</figcaption>"
    # a line's end right after the tag would be taken for layout
    f'<pre class="text" tabindex="0">\n{escape(text)}</pre></figure>'
    for words, text in shown
  )


def _numbers(evaluations: Sequence[Evaluation]) -> str:
  if not evaluations or not evaluations[0].scalars:
    return ""
  table = results([evaluation.scalars for evaluation in evaluations])
  notes = list(dict.fromkeys(row.note for row in table if row.note))
  body = "\n".join(_table_row(row, notes) for row in table)
  seeds = len(evaluations)
  spread = f" Values are mean ± standard deviation over {seeds} seeds." * (seeds > 1)
  listed = "".join(f"<li>{prose(note)}</li>" for note in notes)
  return f"""<h2>The numbers</h2>
<div class="scroll"><table>
<thead><tr><th>quantity</th><th>value</th>
<th>floor<small>real data</small></th><th>ceiling<small>knows nothing</small></th>
<th class="wide">ceiling → floor</th></tr></thead>
<tbody>
{body}
</tbody></table></div>
<p class="fine">The floor is what real data score against real data, or the exact
optimum: no honest model does better, but by chance. The ceiling is what a model scores
that knows nothing. <span class="wide">The dot stands where this run is between the
two.</span>{spread}</p>
<ol class="fine">{listed}</ol>"""


def _table_row(row: Result, notes: Sequence[str]) -> str:
  mark = f"<sup>{notes.index(row.note) + 1}</sup>" if row.note else ""
  gauge = ""
  if row.place is not None:
    share = f"{100 * row.place:.1f}%"
    label = f"{share} of the way from the ceiling to the floor"
    gauge = f'<span class="gauge" role="img" aria-label="{label}">'
    gauge += f'<i style="left:{share}"></i></span>'
  name = f"{escape(row.name)}{mark}<small>{escape(row.better)}</small>"
  numbers = "".join(f"<td>{number(x)}</td>" for x in (row.floor, row.ceiling))
  value = f'<td class="value">{number(row.value)}</td>'
  return f'<tr><td>{name}</td>{value}{numbers}<td class="wide">{gauge}</td></tr>'


def _curves(rows: Rows, evaluations: Sequence[Evaluation]) -> str:
  """A panel for each metric; an evaluated number needs two points to make a curve."""
  names = [name for name in metric_names(rows) if len(series(rows, name)[0]) > 1]
  if not names:
    return ""
  floors = {}
  for evaluation in evaluations[:1]:
    floors = {f"eval/{name}": s.floor for name, s in evaluation.scalars.items()}
  panels = "\n".join(_panel(rows, name, floors.get(name)) for name in names)
  words = (
    "Steps run to the right; a faint line is the raw values, the strong one their "
  )
  words += "running mean; a dashed line is the floor."
  if any(series(rows, name)[1].shape[1] > 1 for name in names):
    words += " The band reaches from the lowest to the highest seed."
  return f"""<h2>While it trained</h2>
<div class="panels">
{panels}
</div>
<p class="fine">{words}</p>"""


def _panel(rows: Rows, name: str, floor: float | None) -> str:
  last = format_values(list(series(rows, name)[1][-1]))
  label = escape(name.removeprefix("eval/").replace("_", " "))
  caption = f"<figcaption><span>{label}</span><b>{number(last)}</b></figcaption>"
  drawing = curve_svg(rows, name, floor=floor)
  drawing = drawing.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
  return f"<figure>{caption}{drawing}</figure>"
