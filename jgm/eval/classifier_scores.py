"""What a classifier's probabilities say about a set of samples.

All take `probabilities` [N, K], rows that sum to one, of a classifier that has learnt
the real classes; none needs to know which class a sample was meant to be.
"""

import numpy as np
from numpy.typing import ArrayLike


def class_shares(probabilities: ArrayLike) -> np.ndarray:
  """The share of samples that fall to each class, by the most probable class.

  Args:
    probabilities: [N, K] float.

  Returns:
    [K] float64, which sums to 1.

  Raises:
    ValueError: as every function here, if the rows are not distributions.
  """
  probabilities = as_probabilities(probabilities)
  n, num_classes = probabilities.shape
  return np.bincount(probabilities.argmax(axis=1), minlength=num_classes) / n


def class_kl_from_uniform(probabilities: ArrayLike) -> float:
  """KL(class shares || uniform), in nats.

  Args:
    probabilities: [N, K] float.

  Returns:
    A float in [0, log K]: 0 for equal shares, log K when one class takes all.
  """
  shares = class_shares(probabilities)
  return entropy_gap(shares)


def inception_style_score(probabilities: ArrayLike) -> float:
  """exp of the mean KL(p(y|x) || p(y)): how sure and how varied, in classes.

  It is the Inception score's formula. The Inception score itself needs the Inception
  network.

  Args:
    probabilities: [N, K] float.

  Returns:
    A float in [1, K]: 1 when all samples get the same answer, K when each is sure and
    the classes are equally frequent.

  Reference: Salimans et al. 2016, section 4. https://arxiv.org/abs/1606.03498
  """
  probabilities = as_probabilities(probabilities)
  marginal = entropy_gap(probabilities.mean(axis=0))
  conditional = np.mean([entropy_gap(row) for row in probabilities])
  # log K - H(p) is the gap: the difference of gaps is H(p(y)) - mean H(p(y|x)).
  return float(np.exp(np.maximum(0.0, conditional - marginal)))


def confident_share(probabilities: ArrayLike, *, threshold: float = 0.9) -> float:
  """The share of samples whose most probable class has more than `threshold`.

  Args:
    probabilities: [N, K] float.
    threshold: a probability.

  Returns:
    A share in [0, 1].
  """
  return float(np.mean(as_probabilities(probabilities).max(axis=1) > threshold))


def mean_confidence(probabilities: ArrayLike) -> float:
  """The mean probability of the most probable class.

  Args:
    probabilities: [N, K] float.

  Returns:
    A float in [1/K, 1].
  """
  return float(as_probabilities(probabilities).max(axis=1).mean())


def entropy_gap(distribution: np.ndarray) -> float:
  """KL(distribution || uniform) = log K - entropy, in nats.

  Args:
    distribution: [K] float, summing to 1; zeros allowed.

  Returns:
    A float in [0, log K].
  """
  positive = distribution[distribution > 0]
  return float(np.sum(positive * np.log(positive * distribution.size)))


def as_probabilities(probabilities: ArrayLike) -> np.ndarray:
  """`probabilities` in float64, once its rows are seen to be distributions.

  Args:
    probabilities: [N, K] float.

  Returns:
    [N, K] float64.

  Raises:
    ValueError: if it is not [N, K], or a row is negative or does not sum to 1.
  """
  probabilities = np.asarray(probabilities, np.float64)
  if probabilities.ndim != 2 or 0 in probabilities.shape:
    raise ValueError(f"probabilities must be [N, K]; got {probabilities.shape}")
  sums = probabilities.sum(axis=1)
  if not (probabilities >= 0).all() or not np.allclose(sums, 1, atol=1e-4):
    raise ValueError("each row of probabilities must be >= 0 and sum to 1")
  return probabilities
