"""A policy of a bandit, and the estimates of its gradient beside the exact one."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import reduce
from numpy.typing import NDArray

from jgm.core.experiment import Evaluation, Scalar
from jgm.core.state import Array, TrainState
from jgm.environments import bandit
from jgm.eval.canvas import PRINT, new_figure, set_title, to_picture
from jgm.eval.line_plot import COLOURS
from jgm.eval.plots import draw_points, frame_of, set_frame
from jgm.losses.policy import policy_gradient_loss

BASELINES = ("no", "expected", "optimal")
NUM_SHOWN = 100  # dots in a panel of the picture, each the mean of as many estimates


class Estimates(NamedTuple):
  """Of the gradient, each by one pull; and what is exact, all in float64."""

  baseline: float
  sampled: np.ndarray  # [N, K]
  gradient: np.ndarray  # [K], exact
  variance: float  # exact, the trace of the covariance of a row of `sampled`

  @property
  def sampled_variance(self) -> float:
    """What `variance` is estimated to be."""
    return float(self.sampled.var(axis=0, ddof=1).sum())

  @property
  def cosine(self) -> float:
    """Of the angle between the mean of all estimates and the exact gradient."""
    mean = self.sampled.mean(axis=0)
    norms = np.linalg.norm(mean) * np.linalg.norm(self.gradient)
    return float(mean @ self.gradient / max(norms, np.finfo(np.float64).tiny))


def make_bandit_evaluation(
  policy_and_means: Callable[[TrainState], tuple[Array, Array]],
  *,
  scale: float,
  num_pulls: int,
) -> Callable[[TrainState, Array], Evaluation]:
  """The `evaluate` of a policy of a bandit.

  Args:
    policy_and_means: state -> (logits [K], the arms' means [K]).
    scale: the standard deviation of the rewards of an arm.
    num_pulls: how many estimates of the gradient are made, N.

  Returns:
    (state, key) -> Evaluation. The policy is measured exactly; of the estimates of its
    gradient, the variance is measured with three baselines beside the exact one.

  Raises:
    ValueError: if there are fewer than two pulls, which have no variance.
  """
  if num_pulls < 2:
    raise ValueError(f"config.eval.num_samples={num_pulls}: it is at least 2")

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    key_now, key_start = jax.random.split(key)
    logits, means = policy_and_means(state)
    now = estimates(key_now, logits, means, scale=scale, n=num_pulls)
    # drawn where all arms are pulled: in the end there is little but one direction
    uniform = jnp.zeros_like(logits)
    start = estimates(key_start, uniform, means, scale=scale, n=num_pulls)
    scalars = policy_scalars(logits, means) | gradient_scalars(now)
    images = {"the gradient of the uniform policy": gradient_plot(start)}
    return Evaluation(scalars, images, warn_of_policy(logits, means))

  return evaluate


def estimates(
  key: Array, logits: Array, means: Array, *, scale: float, n: int
) -> dict[str, Estimates]:
  """n estimates with each of `BASELINES`."""
  keys = jax.random.split(key, len(BASELINES))
  return {
    name: estimate(key_of, logits, means, name, scale=scale, n=n)
    for name, key_of in zip(BASELINES, keys, strict=True)
  }


def estimate(
  key: Array, logits: Array, means: Array, name: str, *, scale: float, n: int
) -> Estimates:
  """n estimates with a baseline, by the loss that trains."""
  key_arms, key_rewards = jax.random.split(key)
  arms = jax.random.categorical(key_arms, logits, shape=(n,))
  rewards = bandit.pull(key_rewards, means, arms, scale=scale)
  baseline = baseline_of(name, logits, means)
  sampled = gradient_estimates(logits, arms, rewards - baseline)
  return Estimates(
    float(baseline),
    np.asarray(sampled, np.float64),
    np.asarray(bandit.exact_gradient(logits, means), np.float64),
    float(bandit.gradient_variance(logits, means, baseline, scale=scale)),
  )


def baseline_of(name: str, logits: Array, means: Array) -> Array:
  """The value of one of `BASELINES`, []."""
  if name == "no":
    return jnp.zeros(())
  if name == "expected":
    return bandit.expected_reward(logits, means)
  return bandit.optimal_baseline(logits, means)


@jax.jit
def gradient_estimates(logits: Array, arms: Array, advantages: Array) -> Array:
  """What each pull says of the gradient of the expected reward.

  Args:
    logits: [K] float.
    arms: [N] int32.
    advantages: [N] float, rewards less a baseline.

  Returns:
    [N, K] float. Property: weighed by pi over all arms, with their means as rewards,
    the exact gradient, whatever the baseline.
  """

  def loss(logits: Array, arm: Array, advantage: Array) -> Array:
    return -policy_gradient_loss(jax.nn.log_softmax(logits)[arm], advantage)

  return jax.vmap(jax.grad(loss), (None, 0, 0))(logits, arms, advantages)


def policy_scalars(logits: Array, means: Array) -> dict[str, Scalar]:
  """What the policy is worth, exactly."""
  best = float(jnp.max(means))
  reward = float(bandit.expected_reward(logits, means))
  probability = float(jax.nn.softmax(logits)[jnp.argmax(means)])
  note = "exact; floor: the best arm alone; ceiling: all arms alike"
  return {
    "expected_reward": Scalar(reward, best, float(jnp.mean(means)), "higher", note),
    "best_arm_probability": Scalar(probability, 1.0, 1 / len(means), "higher", note),
  }


def gradient_scalars(found: dict[str, Estimates]) -> dict[str, Scalar]:
  """What the estimates are worth, for each baseline."""
  scalars = {}
  for name, each in found.items():
    pulls = f"{len(each.sampled):,} pulls, b = {each.baseline:.4g}"
    scalars[f"gradient_variance_{name}_baseline"] = Scalar(
      each.sampled_variance,
      each.variance,
      None,
      "equal to floor",
      f"the trace of the covariance by {pulls}; floor: the exact one",
    )
    scalars[f"gradient_cosine_{name}_baseline"] = Scalar(
      each.cosine,
      1.0,
      0.0,
      "higher",
      f"with the exact gradient, of the mean by {pulls}",
    )
  return scalars


def gradient_plot(found: dict[str, Estimates]) -> NDArray[np.uint8]:
  """Means of estimates with each baseline, about the exact gradient, in one frame.

  Args:
    found: the estimates with each baseline.

  Returns:
    [., ., 3] uint8. To the right runs the exact gradient's direction; upwards the
    one across it in which the estimates without a baseline vary most.
  """
  first = next(iter(found.values()))
  plane = scatter_plane(first.sampled, first.gradient)
  pulls = max(1, len(first.sampled) // NUM_SHOWN)
  dots = {name: means_of(each.sampled, pulls) for name, each in found.items()}
  points = {name: each @ plane for name, each in dots.items()}
  frame = frame_of(np.concatenate(list(points.values())), leave_out=0.02)
  figure = new_figure(3.2 * len(found), 3.5)
  for index, (name, each) in enumerate(found.items(), 1):
    axes = figure.add_subplot(1, len(found), index)
    draw_points(axes, points[name], size=6)
    x, y = each.gradient @ plane
    axes.plot([x], [y], marker="P", ms=9, color=COLOURS[1])
    set_frame(axes, frame)
    set_title(axes, f"{name} baseline: variance of a pull {each.variance:.3g}", PRINT)
  words = f"a dot: the mean of {pulls} pulls; the cross: the exact gradient"
  figure.supxlabel(words, fontsize=8, color=PRINT.ink)
  return to_picture(figure)


def means_of(rows: np.ndarray, n: int) -> np.ndarray:
  """Means of n rows each, of [N, K]; what is left over is left out."""
  whole = rows[: len(rows) // n * n]
  return reduce(whole, "(m n) k -> m k", "mean", n=n)


def scatter_plane(sampled: np.ndarray, gradient: np.ndarray) -> np.ndarray:
  """Two directions [K, 2] of unit length: along the gradient, and one across it."""
  along = gradient / max(np.linalg.norm(gradient), np.finfo(np.float64).tiny)
  rest = sampled - np.outer(sampled @ along, along)
  _, _, directions = np.linalg.svd(rest - rest.mean(axis=0), full_matrices=False)
  return np.stack([along, directions[0]], axis=1)


def warn_of_policy(logits: Array, means: Array) -> tuple[str, ...]:
  """Says so where another arm than the best is the likeliest."""
  likeliest, best = int(jnp.argmax(logits)), int(jnp.argmax(means))
  if likeliest == best:
    return ()
  return (
    f"not the best arm: the likeliest has a mean of {float(means[likeliest]):.3g}, the "
    f"best of {float(means[best]):.3g}",
  )
