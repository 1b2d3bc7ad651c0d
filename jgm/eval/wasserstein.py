"""The Wasserstein-1 distance between samples, and a critic's estimate beside it."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import scipy.optimize
from einops import rearrange
from numpy.typing import ArrayLike

from jgm.core.experiment import Scalar
from jgm.core.state import Array
from jgm.eval.floors import NUM_SUBSETS, Floor, draw_subsets, floors
from jgm.eval.manifold import centred
from jgm.eval.neighbours import squared_distances

MAX_EXAMPLES = 1000  # an optimal assignment of so many takes less than a second

Critic = Callable[[Array], Array]  # x [B, ...] -> [B]


def wasserstein_1(samples: ArrayLike, real: ArrayLike) -> float:
  """The exact Wasserstein-1 distance between two equally large sets of examples.

  The least mean distance over all ways to give each sample a real example of its own:
  W1 of the sets, which as an estimate of W1 of what they were drawn from is too large.
  In D > 2 dimensions the excess falls like N^(-1 / D) only, so between images it is
  most of the number: compare it with that of real examples at the same N.

  Args:
    samples: [N, ...] float. Time N^3 at worst: 1,000 take about a second.
    real: [N, ...] float.

  Returns:
    A float >= 0 in the unit of the examples; the distance of two examples is Euclidean,
    over all values. Zero iff the sets are equal; symmetric; for sets on a line, the
    mean distance of the sorted ones.

  Raises:
    ValueError: if the shapes differ, or there is nothing to compare, or not finite.

  Reference: Peyré & Cuturi 2019, sections 2.2 and 2.4.
  https://arxiv.org/abs/1803.00567
  """
  samples, real = np.asarray(samples), np.asarray(real)
  if samples.shape != real.shape or samples.ndim < 2:
    raise ValueError(
      f"the sets must both be [N, ...]; got {samples.shape} and {real.shape}"
    )
  as_rows = lambda x: rearrange(x, "n ... -> n (...)")
  distances = np.sqrt(squared_distances(*centred(as_rows(samples), as_rows(real))))
  chosen = scipy.optimize.linear_sum_assignment(distances)
  return float(distances[chosen].mean())


def critic_distance_scalars(
  score: Critic,
  samples: ArrayLike,
  real: ArrayLike,
  *,
  train: ArrayLike,
  seed: int,
  slope: float | None = None,
  max_examples: int = MAX_EXAMPLES,
) -> dict[str, Scalar]:
  """A critic's estimate of the Wasserstein-1 distance beside the distance itself.

  By duality (Arjovsky et al. 2017, eq. 2) the estimate, mean score of real examples
  minus mean score of samples, is at most K times W1 of the same two sets, K the
  critic's Lipschitz constant; so their ratio is a lower bound of K.

  Args:
    score: the critic, [n, ...] -> [n]; it is called with n examples at a time.
    samples: [N, ...] float.
    real: [M, ...] float, held out.
    train: [L, ...] float, what the critic was trained on.
    seed: of which examples are compared.
    slope: what K is held near, 1 under a gradient penalty; None where it is not known,
      as with clipped weights.
    max_examples: of each set, n; fewer where there are not so many, or not twice as
      many to train on.

  Returns:
    {"critic_estimate", "wasserstein_1"}. The floors are of training examples in the
    samples' place: of the estimate about 0, and less where the critic knows its
    training data by heart; of W1 what is left between so few.

  Raises:
    ValueError: as `wasserstein_1`, or if the scores are not [n].

  Reference: Arjovsky et al. 2017. https://arxiv.org/abs/1701.07875
  """
  samples, real, train = map(np.asarray, (samples, real, train))
  n = min(max_examples, len(samples), len(real), len(train) // 2)
  rng = np.random.default_rng(seed)
  held_out = real[rng.permutation(len(real))[:n]]
  shown = samples[rng.permutation(len(samples))[:n]]
  subsets = [train[rows] for rows in draw_subsets(rng, len(train), n)]
  real_score = mean_score(score, held_out)

  def measure(x: np.ndarray) -> dict[str, float]:
    return {
      "critic_estimate": real_score - mean_score(score, x),
      "wasserstein_1": wasserstein_1(x, held_out),
    }

  found, usual = measure(shown), floors([measure(each) for each in subsets])
  notes = {
    "critic_estimate": note_of_estimate(found, slope),
    "wasserstein_1": "optimal assignment, too large for finite N",
  }
  size = f"N={n} against {n} held out, seed {seed}"
  return {
    name: Scalar(
      found[name],
      usual[name].mean,
      None,
      "equal to floor" if name == "critic_estimate" else "lower",
      f"{notes[name]}; {size}; {note_of_floor(usual[name])}",
    )
    for name in found
  }


def mean_score(score: Critic, x: np.ndarray) -> float:
  """The mean over examples [n, ...], in float64: a difference of two is what counts."""
  scores = np.asarray(score(jnp.asarray(x)), np.float64)
  if scores.shape != (len(x),):
    raise ValueError(
      f"a critic's scores must be [N], not {list(scores.shape)} for N={len(x)}"
    )
  return float(scores.mean())


def note_of_estimate(found: dict[str, float], slope: float | None) -> str:
  """What may be read from an estimate, and what not."""
  ratio = ""
  if found["wasserstein_1"] > 0:
    share = found["critic_estimate"] / found["wasserstein_1"]
    ratio = f", here {share:.3g} W1 of the same examples"
  if slope is None:
    return f"mean score of real - of samples: at most K W1, K not known{ratio}"
  return f"mean score of real - of samples: at most K W1, K near {slope:g}{ratio}"


def note_of_floor(floor: Floor) -> str:
  """How sure the floor is."""
  return f"floor ± {floor.spread:.2g} over {NUM_SUBSETS} training subsets"
