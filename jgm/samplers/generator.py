"""Samples of a generator: one pass from noise to examples, by the averaged weights."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jgm.samplers.chunks import in_chunks
from jgm.samplers.labels import class_labels

Array = jax.Array
PyTree = Any

# (params, model_state, z [B, D], [label [B],] train) -> (examples [B, ...], new state)
Generate = Callable[..., tuple[Array, PyTree]]
DrawNoise = Callable[[Array, int], Array]  # (key, n) -> z [n, D]


def normal(dimension: int) -> DrawNoise:
  """Noise z ~ N(0, I)."""
  return lambda key, n: jax.random.normal(key, (n, dimension))


def uniform(dimension: int) -> DrawNoise:
  """Noise uniform on [-1, 1]^D."""
  return lambda key, n: jax.random.uniform(key, (n, dimension), minval=-1.0)


PRIORS = {"normal": normal, "uniform": uniform}


class GeneratorSampling(NamedTuple):
  """How a trained generator is used."""

  # (state, key, n, *, class_label=None) -> [n, ...]
  sample: Callable[..., Array]
  # (state, key) -> (z [n, D], label [n]) -> [n, ...], of noise that one chooses
  draw: Callable[[Any, Array], Callable[[Array, Array], Array]]


def make_generator_sampling(
  generate: Generate,
  draw_noise: DrawNoise,
  *,
  chunk_size: int,
  num_classes: int | None = None,
  settling_passes: int = 50,
  axis_name: str | None = None,
) -> GeneratorSampling:
  """Samples of the player "generator" of a TrainState, by its `ema_params`.

  Batch normalisation stores the statistics of the weights in training, not of their
  average. So before samples are drawn, the averaged network makes a few batches in
  training mode, and its own statistics settle: Brock et al. 2019 call these standing
  statistics. A network without batch statistics is used as it is.

  Args:
    generate: (params, model_state, z, [label,] train) -> (examples, model_state).
    draw_noise: (key, n) -> z.
    chunk_size: examples at a time.
    num_classes: K of a conditional generator; None where it knows no classes.
    settling_passes: batches that the statistics settle over. Of those in training a
      share of momentum ** passes is left: 0.5% at a momentum of 0.9.
    axis_name: of the replicas that the network averages its statistics over.

  Returns:
    GeneratorSampling.

  Reference: Brock et al. 2019, appendix B. https://arxiv.org/abs/1809.11096
  """

  def forward(params, model_state, z, label, train):
    inputs = (z,) if num_classes is None else (z, label)
    return generate(params, model_state, *inputs, train=train)

  @jax.jit
  def draw_chunk(params, model_state, z, label):
    return forward(params, model_state, z, label, train=False)[0]

  @jax.jit
  def settle(params, model_state, key):
    def one_pass(model_state, key):
      z = draw_noise(key, chunk_size)
      label = class_labels(chunk_size, num_classes)
      one = lambda z: forward(params, model_state, z, label, train=True)[1]
      if axis_name is not None:  # one replica, for here there are no others
        one = jax.vmap(one, in_axes=None, axis_name=axis_name, axis_size=1)
        return jax.tree.map(lambda leaf: leaf[0], one(z)), None
      return one(z), None

    keys = jax.random.split(key, settling_passes)
    return jax.lax.scan(one_pass, model_state, keys)[0]

  def draw(state, key):
    params = state.ema_params["generator"]
    model_state = state.model_state["generator"]
    if jax.tree.leaves(model_state):
      model_state = settle(params, model_state, key)
    return lambda z, label: draw_chunk(params, model_state, z, label)

  def sample(state, key, n, *, class_label: int | None = None):
    key_noise, key_settle, key_chunks = jax.random.split(key, 3)
    draw_rows = draw(state, key_settle)
    rows = (draw_noise(key_noise, n), class_labels(n, num_classes, class_label))
    one = lambda _, rows: draw_rows(*rows)
    return in_chunks(one, key_chunks, rows, size=chunk_size)

  return GeneratorSampling(sample, draw)
