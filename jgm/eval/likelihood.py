"""The likelihood of held-out data, as one number that says what kind it is."""

import math
from typing import Any

import jax
import numpy as np

from jgm.core.experiment import Batch, Dataset, LogProb, Scalar
from jgm.core.state import Array, TrainState
from jgm.data.spec import bits_per_dim, dequantise
from jgm.samplers.chunks import in_chunks


def held_out_likelihood(
  log_prob: LogProb,
  state: TrainState,
  data: Dataset,
  key: Array,
  *,
  num_examples: int,
  chunk: int,
  floor: float | None = None,
) -> dict[str, Scalar]:
  """The mean likelihood of held-out examples.

  Args:
    log_prob: the experiment's.
    state: the training state.
    data: the dataset; its first test examples are taken.
    key: typed key [].
    num_examples: how many, N; fewer where there are not as many.
    chunk: how many at a time.
    floor: what no model can beat on these very examples, in the unit of the value;
      where the distribution is known, the mean of -log density; None where it is not.

  Returns:
    {NAME: Scalar}, lower is better. NAME is `bits_per_dim`, or `nats` for data without
    grey levels, and says what kind of number it is: `_exact`, `_bound`, and
    `_dequantised` where a density was taken of dequantised values. The ceiling is a
    model that is uniform over the range.
  """
  spec: Any = data.spec
  dequantised = log_prob.of == "density" and spec.levels is not None

  def log_prob_of(key: Array, batch: Batch) -> Array:
    key_noise, key_log_prob = jax.random.split(key)
    if dequantised:
      batch = {**batch, "x": dequantise(batch["x"], spec, key_noise)}
    return log_prob.fn(state, batch, key_log_prob)

  test = jax.tree.map(lambda leaf: np.asarray(leaf)[:num_examples], data.split("test"))
  n = len(jax.tree.leaves(test)[0])
  nats = in_chunks(log_prob_of, key, test, size=min(chunk, n))
  if spec.levels is None:
    values, unit = -nats, "nats"
    ceiling = spec.dimensions * math.log(spec.high - spec.low)
  else:
    values = bits_per_dim(nats, spec, discrete=log_prob.of == "mass")
    unit, ceiling = "bits_per_dim", math.log2(spec.levels)
  error = float(np.std(values)) / math.sqrt(n)
  at_most = "" if log_prob.kind == "exact" and not dequantised else "an upper bound; "
  note = f"{at_most}{n} held-out examples, standard error {error:.2g}"
  name = f"{unit}_{log_prob.kind}" + "_dequantised" * dequantised
  if floor is not None:
    note += "; floor: the exact density of the same examples"
  return {name: Scalar(float(np.mean(values)), floor, ceiling, "lower", note)}
