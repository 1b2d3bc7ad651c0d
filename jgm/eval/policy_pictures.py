"""Pictures of what a policy has learnt."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jgm.eval.canvas import PRINT, new_figure, set_title, style, to_picture
from jgm.eval.line_plot import COLOURS

NUM_BINS = 16


def against_optimum(logps: Mapping[str, ArrayLike]) -> NDArray[np.uint8]:
  """The log-probability of each completion, beside what it is at best.

  Args:
    logps: {"policy": [N], "reference": [N], "optimum": [N]}, nats.

  Returns:
    [., ., 3] uint8. On the diagonal the policy is the best one.
  """
  best = np.asarray(logps["optimum"])
  figure = new_figure(5.4, 5.2)
  axes = figure.add_subplot()
  style(axes, PRINT)
  low, high = best.min(), best.max()
  axes.plot([low, high], [low, high], color=PRINT.faint, lw=1.5, zorder=1)
  for name, colour in (("reference", COLOURS[4]), ("policy", COLOURS[0])):
    axes.scatter(best, np.asarray(logps[name]), s=9, color=colour, label=name)
  best_label = "log-probability under the best policy, nats"
  axes.set_xlabel(best_label, fontsize=8.5, color=PRINT.ink)
  axes.set_ylabel("log-probability, nats", fontsize=8.5, color=PRINT.ink)
  axes.legend(frameon=False, fontsize=8, loc="upper left")
  set_title(axes, "each dot is a completion", PRINT)
  return to_picture(figure)


def reward_histogram(
  rewards: Mapping[str, ArrayLike], *, label: str
) -> NDArray[np.uint8]:
  """How rewards are distributed, one outline for each set.

  Args:
    rewards: name -> [N] float; the last is drawn in the house's blue.
    label: what is on the axis.

  Returns:
    [., ., 3] uint8. All sets share their bins.
  """
  sets = {name: np.asarray(each, np.float64) for name, each in rewards.items()}
  together = np.concatenate(list(sets.values()))
  bins = np.linspace(together.min(), together.max() + 1e-6, NUM_BINS + 1).tolist()
  figure = new_figure(5.8, 3.4)
  axes = figure.add_subplot()
  style(axes, PRINT)
  colours = (*COLOURS[1 : len(sets)], COLOURS[0])
  for (name, each), colour in zip(sets.items(), colours, strict=True):
    caption = f"{name}: mean {each.mean():.3g}"
    axes.hist(each, bins, histtype="stepfilled", color=colour, alpha=0.25)
    axes.hist(each, bins, histtype="step", color=colour, lw=1.4, label=caption)
  axes.set_xlabel(label.replace("_", " "), fontsize=8.5, color=PRINT.ink)
  axes.set_ylabel("completions", fontsize=8.5, color=PRINT.ink)
  axes.legend(frameon=False, fontsize=8)
  return to_picture(figure)


def learned_against_given(learned: ArrayLike, given: ArrayLike) -> NDArray[np.uint8]:
  """A reward model's rewards, against those of the judge that it learnt from.

  Args:
    learned: [N] float.
    given: [N] float, of the same completions.

  Returns:
    [., ., 3] uint8. A reward is known but for a constant: a line of slope 1 anywhere is
    a perfect model.
  """
  learned, given = np.asarray(learned), np.asarray(given)
  figure = new_figure(5.4, 4.6)
  axes = figure.add_subplot()
  style(axes, PRINT)
  middle = (given.mean(), learned.mean())
  axes.axline(middle, slope=1.0, color=COLOURS[1], lw=1.2, label="slope 1")
  axes.scatter(given, learned, s=7, color=COLOURS[0], alpha=0.5, lw=0)
  axes.set_xlabel("the judge's reward", fontsize=8.5, color=PRINT.ink)
  axes.set_ylabel("the model's reward", fontsize=8.5, color=PRINT.ink)
  axes.legend(frameon=False, fontsize=8)
  set_title(axes, "each dot is a completion of a held-out prompt", PRINT)
  return to_picture(figure)
