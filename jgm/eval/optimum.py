"""The policies that learning from rewards and from preferences should end at."""

from collections.abc import Callable

from jgm.core.state import Array
from jgm.eval.enumeration import optimal_logp, preferences, preferred

# (ref_logp [N], reward [N]) of all completions -> their log-probability at best [N]
Optimum = Callable[[Array, Array], Array]


def reward_optimum(beta: float) -> Optimum:
  """The greatest E[reward] - beta KL(pi || ref): what PPO and DPO, too, should reach.

  DPO learns from choices of a judge who errs as Bradley and Terry say, and without
  label smoothing: then the reward is the judge's.

  Args:
    beta: the weight of the KL; 0 puts all on the best completions.

  Returns:
    The Optimum, `jgm.eval.enumeration.optimal_logp`.
  """
  return lambda ref_logp, reward: optimal_logp(ref_logp, reward, beta=max(beta, 1e-6))


def ipo_optimum(tau: float) -> Optimum:
  """The greatest P(y preferred to one of ref) - tau KL(pi || ref): IPO's.

  Args:
    tau: the weight of the KL.

  Returns:
    The Optimum.
  """

  def optimum(ref_logp: Array, reward: Array) -> Array:
    wins = preferred(preferences(reward), ref_logp)
    return optimal_logp(ref_logp, wins, beta=tau)

  return optimum
