"""The likelihood of held-out data, as one number that says what kind it is."""

import math
from typing import Any

import jax
import numpy as np

from jgm.core.experiment import Dataset, LogProb, Scalar
from jgm.core.state import Array, TrainState
from jgm.data.spec import bits_per_dim
from jgm.samplers.chunks import in_chunks

NOTES = {
  "exact": "exact log-likelihood",
  "bound": "variational bound: the likelihood is at least as good",
  "dequantised": "dequantised bound: the likelihood is at least as good",
}


def held_out_likelihood(
  log_prob: LogProb,
  state: TrainState,
  data: Dataset,
  key: Array,
  *,
  num_examples: int,
  chunk: int,
) -> dict[str, Scalar]:
  """The mean likelihood of held-out examples.

  Args:
    log_prob: the experiment's.
    state: the training state.
    data: the dataset; its first test examples are taken.
    key: typed key [].
    num_examples: how many, N; fewer where there are not as many.
    chunk: how many at a time.

  Returns:
    {"bits_per_dim_KIND": Scalar}, lower is better, beside the ceiling log2(levels) of a
    uniform model; {"nats_KIND": Scalar} for data that have no grey levels.
  """
  test = jax.tree.map(lambda leaf: np.asarray(leaf)[:num_examples], data.split("test"))
  n = len(jax.tree.leaves(test)[0])
  nats = in_chunks(
    lambda key, batch: log_prob.fn(state, batch, key), key, test, size=min(chunk, n)
  )
  spec: Any = data.spec
  discrete = log_prob.kind != "dequantised"
  if spec.levels is None:
    values, unit, ceiling = -nats, "nats", None
  else:
    values = bits_per_dim(nats, spec, discrete=discrete)
    unit, ceiling = "bits_per_dim", math.log2(spec.levels)
  error = float(np.std(values)) / math.sqrt(n)
  note = f"{NOTES[log_prob.kind]}; {n} held-out examples, standard error {error:.2g}"
  value = Scalar(float(np.mean(values)), ceiling=ceiling, better="lower", note=note)
  return {f"{unit}_{log_prob.kind}": value}
