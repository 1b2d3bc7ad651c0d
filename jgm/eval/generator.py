"""What generators, and games between one and a critic, add to an evaluation."""

from collections.abc import Callable

import jax

from jgm.core.experiment import Dataset
from jgm.core.state import Array, TrainState
from jgm.eval.additions import OwnPictures, OwnScalars
from jgm.eval.critic_field import critic_field
from jgm.eval.latent_walk import latent_walk
from jgm.eval.wasserstein import MAX_EXAMPLES, critic_distance_scalars
from jgm.models.stateful import Apply
from jgm.samplers.generator import GeneratorSampling
from jgm.samplers.labels import class_labels

NUM_WALKS = 6
NUM_POINTS = 500


def make_generator_pictures(
  data: Dataset,
  sampling: GeneratorSampling,
  draw_noise: Callable[[Array, int], Array],
  *,
  score: Callable[[TrainState, Array], Array] | None = None,
  undecided: float | None = None,
  num_classes: int | None = None,
  spherical: bool,
) -> OwnPictures:
  """Of images, walks from one noise to another; of points, what the critic thinks.

  Args:
    data: the dataset that the samples are to resemble.
    sampling: of the generator.
    draw_noise: (key, n) -> z [n, D].
    score: (state, x [B, 2]) -> [B], the critic's; None draws no picture of it.
    undecided: the score between real and fake, where there is one: 0 for logits.
    num_classes: K of a conditional generator, whose rows are one class each.
    spherical: whether the noise is normal: see `latent_walk`.

  Returns:
    (state, key) -> {caption: picture}.
  """
  spec = data.spec

  def walks(state: TrainState, key: Array):
    key_noise, key_draw = jax.random.split(key)
    draw, label = sampling.draw(state, key_draw), class_labels(NUM_WALKS, num_classes)
    picture = latent_walk(
      lambda z: draw(z, label),
      draw_noise(key_noise, 2 * NUM_WALKS),
      low=spec.low,
      high=spec.high,
      spherical=spherical,
    )
    return {"from one noise to another": picture}

  def field(state: TrainState, key: Array):
    if score is None:
      return {}
    samples, real = sampling.sample(state, key, NUM_POINTS), data.split("test")["x"]
    picture = critic_field(
      lambda x: score(state, x),
      samples,
      real[:NUM_POINTS],
      low=spec.low,
      high=spec.high,
      undecided=undecided,
    )
    return {"what the critic thinks": picture}

  return walks if len(spec.shape) == 3 else field


def make_critic_distance(
  data: Dataset,
  sample: Callable[..., Array],
  score: Apply,
  *,
  num_samples: int,
  seed: int,
  slope: float | None = None,
) -> OwnScalars:
  """A Wasserstein critic's estimate beside the true distance, of samples to data.

  Args:
    data: the dataset that the samples are to resemble.
    sample: the experiment's (state, key, n) -> [n, *data.spec.shape].
    score: (params, model_state, x, train) -> (scores [B], model_state), the critic's.
    num_samples: how many are compared with as many held-out examples, at most 1,000.
    seed: of the examples that are compared.
    slope: what the critic's slope is held near; None where nothing is known of it.

  Returns:
    (state, key) -> {"critic_estimate": Scalar, "wasserstein_1": Scalar}. Nothing of a
    critic with batch statistics: with those that it stores it is another function than
    the one that was trained on two batches apart.
  """

  @jax.jit
  def scores(state: TrainState, x: Array) -> Array:
    critic = state.params["critic"], state.model_state["critic"]
    return score(*critic, x, train=False)[0]

  def scalars(state: TrainState, key: Array):
    if jax.tree.leaves(state.model_state["critic"]):
      return {}
    return critic_distance_scalars(
      lambda x: scores(state, x),
      sample(state, key, min(num_samples, MAX_EXAMPLES)),
      data.split("test")["x"],
      train=data.split("train")["x"],
      seed=seed,
      slope=slope,
    )

  return scalars
