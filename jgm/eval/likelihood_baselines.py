"""What models without a network reach: bits per dimension of held-out images."""

import functools
import math
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from jgm.core.experiment import Dataset, Scalar
from jgm.core.state import Array, TrainState
from jgm.data.spec import DataSpec, Numbers, bits_per_dim, dequantise, to_levels

NUM_COMPONENTS = (1, 2, 5, 10, 20)
RIDGE = 1e-3  # added to the variances; that of a bin of 17 levels in [-1, 1] is 1.3e-3
NUM_SPREADS = 4  # how often each training image is dequantised
VALIDATION_SHARE = 0.2
# A covariance has the square of as many numbers.
MAX_MIXTURE_DIMENSIONS = 256


def make_likelihood_baselines(
  data: Dataset, *, num_examples: int, seed: int
) -> Callable[[TrainState, Array], dict[str, Scalar]]:
  """The `scalars` of an experiment that shows its likelihood beside simple models'.

  They are fitted to the training data at the first call, and kept: neither the state
  nor the key is looked at.

  Args:
    data: images with grey levels. Building this reads none of them.
    num_examples: the first test examples so many, as `held_out_likelihood` takes them.
    seed: of the dequantisation, of the validation part and of the mixture's start.

  Returns:
    (state, key) -> {name: Scalar}. The histogram, and the mixture where images have at
    most 256 values; {} for data without grey levels. The ceiling is the uniform model.
  """

  @functools.cache
  def baselines() -> dict[str, Scalar]:
    spec: DataSpec = data.spec
    if spec.levels is None:
      return {}
    train, test = (np.asarray(data.split(name)["x"]) for name in ("train", "test"))
    test = test[:num_examples]
    bits, note = histogram_bits_per_dim(train, test, spec)
    found = {"bits_per_dim_of_histogram": _scalar(bits, spec, note)}
    if spec.dimensions <= MAX_MIXTURE_DIMENSIONS:
      bits, note = mixture_bits_per_dim(train, test, spec, seed=seed)
      found["bits_per_dim_of_gaussian_mixture"] = _scalar(bits, spec, note)
    return found

  return lambda state, key: baselines()


def histogram_bits_per_dim(
  train: Numbers, test: Numbers, spec: DataSpec
) -> tuple[NDArray[np.float64], str]:
  """Of independent pixels, each with its own histogram of grey levels.

  The probability of level k is (its count in the training data + 1/2) / (N + K / 2).

  Args:
    train: [N, ...] float. What the histograms are made of.
    test: [M, ...] float.
    spec: of the data, which have K grey levels.

  Returns:
    (bits per dimension [M], exact; what they are of). Property: log2(K) without any
    training data.
  """
  levels = spec.levels or 0
  train, test = (
    np.asarray(to_levels(np.asarray(x), spec)).reshape(-1, spec.dimensions)
    for x in (train, test)
  )
  counts = np.stack([np.sum(train == level, axis=0) for level in range(levels)])
  log_mass = np.log((counts + 0.5) / (len(train) + 0.5 * levels))  # [K, D]
  nats = log_mass[test, np.arange(spec.dimensions)].sum(axis=1)
  note = f"independent pixels, counts + 1/2 of {len(train):,} training images, exact"
  return np.asarray(_bits(nats, spec, discrete=True)), note


def mixture_bits_per_dim(
  train: Numbers,
  test: Numbers,
  spec: DataSpec,
  *,
  seed: int,
  num_components: Iterable[int] = NUM_COMPONENTS,
) -> tuple[NDArray[np.float64], str]:
  """Of a mixture of Gaussians with full covariances, on dequantised values.

  How many components it has is what is best on a fifth of the training data; then all
  of these are fitted. In each dimension a Gaussian takes a quarter of a bit more than
  the uniform spread of one grey level: where many pixels are always black, a histogram
  is the harder one to beat.

  Args:
    train: [N, ...] float, each spread over its bin four times.
    test: [M, ...] float.
    spec: of the data, which have grey levels.
    seed: of the dequantisation, the validation part and the start.
    num_components: those that are tried; each needs five images.

  Returns:
    (bits per dimension [M], an upper bound as for all that is dequantised; what they
    are of).
  """
  key_train, key_test = jax.random.split(jax.random.key(seed))
  keys = jax.random.split(key_train, NUM_SPREADS)
  train = np.stack([_spread(train, spec, key) for key in keys], axis=1)  # [N, 4, D]
  order = np.random.default_rng(seed).permutation(len(train))
  num_held = max(1, round(VALIDATION_SHARE * len(train)))
  held, rest = train[order[:num_held]], train[order[num_held:]]

  def fit(x: np.ndarray, count: int) -> GaussianMixture:
    mixture = GaussianMixture(
      count, reg_covar=RIDGE, random_state=seed, tol=1e-2, max_iter=50
    )
    # The matrices are small: several threads would mostly wait for each other.
    with threadpool_limits(1):
      return mixture.fit(x.reshape(-1, spec.dimensions))

  scores = {
    count: fit(rest, count).score(held.reshape(-1, spec.dimensions))
    for count in num_components
    if 5 * count <= len(rest)
  }
  count = max(scores, key=scores.__getitem__)
  nats = fit(train, count).score_samples(_spread(test, spec, key_test))
  note = f"{count} Gaussians with full covariances, as many as suit a fifth of "
  note += f"{len(train):,} training images best; dequantised: an upper bound"
  return np.asarray(_bits(nats, spec, discrete=False)), note


def _spread(x: Numbers, spec: DataSpec, key: Array) -> NDArray[np.float64]:
  spread = np.asarray(dequantise(jnp.asarray(x), spec, key), np.float64)
  return spread.reshape(len(spread), -1)


def _bits(nats: np.ndarray, spec: DataSpec, *, discrete: bool) -> Array:
  return bits_per_dim(jnp.asarray(nats), spec, discrete=discrete)


def _scalar(bits: np.ndarray, spec: DataSpec, note: str) -> Scalar:
  error = float(np.std(bits)) / math.sqrt(len(bits))
  note += f"; {len(bits)} held-out examples, standard error {error:.2g}"
  return Scalar(float(np.mean(bits)), None, math.log2(spec.levels or 1), "lower", note)
