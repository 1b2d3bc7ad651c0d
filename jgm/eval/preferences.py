"""The evaluation of a reward model: does it choose as the judge does?"""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from scipy.stats import spearmanr

from jgm.core.experiment import Evaluation, Scalar
from jgm.core.state import Array, PyTree, TrainState
from jgm.eval.policy_pictures import learned_against_given
from jgm.policy.completer import held_out_windows
from jgm.policy.pairs import Pairs
from jgm.policy.task import Task
from jgm.samplers.chunks import in_chunks


def make_preference_evaluation(
  task: Task,
  pairs_of: Callable[[PyTree, PyTree, Array, Array], Pairs],
  rewards_of: Callable[[PyTree, Pairs], tuple[Array, Array]],
  *,
  num_samples: int,
  chunk_size: int,
) -> Callable[[TrainState, Array], Evaluation]:
  """The `evaluate` of a reward model, from `ema_params`.

  Args:
    task: whose reward is the judge's.
    pairs_of: (params of the writer, extra, windows, key) -> Pairs.
    rewards_of: (params of the model, pairs) -> its rewards [B] of the chosen, and of
      the rejected.
    num_samples: pairs of completions of held-out prompts.
    chunk_size: pairs at a time.

  Returns:
    (state, key) -> Evaluation. The floors are a model's that is the judge's reward.
  """

  @jax.jit
  def judged(state: TrainState, windows: Array, key: Array) -> dict[str, Array]:
    pairs = pairs_of(state.extra.reference, state.extra, windows, key)
    chosen, rejected = rewards_of(state.ema_params, pairs)
    return {
      "chosen": chosen,
      "rejected": rejected,
      "judge_chosen": pairs.chosen_reward,
      "judge_rejected": pairs.rejected_reward,
    }

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    key_windows, key_pairs = jax.random.split(key)
    windows = held_out_windows(task, key_windows, num_samples)
    one = lambda key, rows: judged(state, rows, key)
    rows = jax.device_get(in_chunks(one, key_pairs, windows, size=chunk_size))
    learned = np.concatenate([rows["chosen"], rows["rejected"]])
    given = np.concatenate([rows["judge_chosen"], rows["judge_rejected"]])
    margin = rows["chosen"] - rows["rejected"]
    judge_margin = rows["judge_chosen"] - rows["judge_rejected"]
    picture = learned_against_given(learned, given)
    return Evaluation(
      preference_scalars(margin, judge_margin, learned, given),
      {"what the model says, and the judge": picture},
    )

  return evaluate


def preference_scalars(
  margin: Any, judge_margin: Any, learned: Any, given: Any
) -> dict[str, Scalar]:
  """How often the model's choice is the judge's, and what the judge's noise allows.

  Args:
    margin: [N], the model's reward of the chosen less that of the rejected.
    judge_margin: [N], the judge's own.
    learned: [M], the model's rewards.
    given: [M], the judge's of the same completions.

  Returns:
    Accuracy, loss and rank correlation.
  """
  right, at_best = (np.heaviside(x, 0.5) for x in (margin, judge_margin))
  loss, least = (np.logaddexp(0, -x) for x in (margin, judge_margin))
  n = len(margin)
  error = lambda x: f"± {np.std(x) / math.sqrt(n):.2g} of N={n} pairs"
  note = "; floor: the judge's own reward, on the same choices"
  return {
    "preference_accuracy": Scalar(
      float(right.mean()), float(at_best.mean()), 0.5, "higher", error(right) + note
    ),
    "preference_loss_nats": Scalar(
      float(loss.mean()), float(least.mean()), math.log(2), note=error(loss) + note
    ),
    "rank_correlation": Scalar(
      rank_correlation(learned, given),
      1.0,
      0.0,
      "higher",
      f"of {len(given)} completions' rewards with the judge's, without noise",
    ),
  }


def rank_correlation(x: Any, y: Any) -> float:
  """Spearman's, of [M] and [M]; 0 where all values of one are the same."""
  if np.ptp(x) == 0 or np.ptp(y) == 0:
    return 0.0
  return float(spearmanr(x, y).statistic)
