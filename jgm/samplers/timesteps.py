"""The times a sampler visits, as an explicit list of (t, t_previous)."""

import numpy as np
from numpy.typing import ArrayLike

from jgm.noise import CLEAN, Schedule, discrete_steps

SPACINGS = ("linspace", "trailing", "quadratic")


def timestep_pairs(
  num_steps: int, total_steps: int, *, spacing: str = "linspace"
) -> np.ndarray:
  """The steps of a sampler that visits some of the T times of a discrete schedule.

  Args:
    num_steps: the number of steps, at most T.
    total_steps: T, the schedule's.
    spacing: "linspace", evenly from T-1 to 0; "trailing", every (T / num_steps)-th time
      from T-1 on; or "quadratic", finer towards the data.

  Returns:
    [num_steps, 2] int32, a row (t, t_previous) per step, from T-1 to clean data.
    Property: each row starts where the one before it ended; the last ends at CLEAN.

  Raises:
    ValueError: if there are no steps, more than T, or the spacing is not known.

  Reference: Song, Meng, Ermon 2021, appendix D.2. https://arxiv.org/abs/2010.02502
  """
  if not 1 <= num_steps <= total_steps:
    raise ValueError(
      f"a sampler takes 1 to {total_steps} steps, the schedule's; got {num_steps}"
    )
  last = total_steps - 1
  if spacing == "linspace":
    t = np.linspace(last, 0, num_steps)
  elif spacing == "trailing":
    t = total_steps * (1 - np.arange(num_steps) / num_steps) - 1
  elif spacing == "quadratic":
    # never two steps at the same time: the k-th from the end is at k at least
    lowest = np.arange(num_steps)[::-1]
    t = np.maximum(np.linspace(last**0.5, 0, num_steps) ** 2, lowest)
  else:
    raise ValueError(f"unknown spacing {spacing!r}: it is one of {SPACINGS}")
  t = np.append(np.round(t), CLEAN).astype(np.int32)
  return np.stack([t[:-1], t[1:]], axis=1)


def checked_pairs(timesteps: ArrayLike | None, schedule: Schedule) -> np.ndarray:
  """The steps asked for, or all of them, once it is known that they make a chain.

  Args:
    timesteps: [S, 2] rows (t, t_previous), known before compilation; None: all T.
    schedule: discrete.

  Returns:
    [S, 2] numpy array.

  Raises:
    ValueError: if the schedule is continuous, a step does not go down, does not start
      where the one before it ended, or leaves the schedule.
  """
  total_steps = discrete_steps(schedule)
  if timesteps is None:
    return timestep_pairs(total_steps, total_steps)
  pairs = np.asarray(timesteps)
  if pairs.ndim != 2 or pairs.shape[1] != 2 or len(pairs) == 0:
    raise ValueError(f"timesteps must be [S, 2], (t, t_previous); got {pairs.shape}")
  if np.any(pairs[:, 1] >= pairs[:, 0]) or np.any(pairs[1:, 0] != pairs[:-1, 1]):
    raise ValueError(f"timesteps must go down and follow on each other; got {pairs}")
  if pairs[0, 0] >= total_steps or pairs[-1, 1] < CLEAN:
    raise ValueError(f"timesteps must lie in {CLEAN} .. {total_steps - 1}; got {pairs}")
  return pairs
