"""What an experiment adds to the numbers and pictures that all of its kind have."""

from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from jgm.core.experiment import Evaluation, Scalar
from jgm.core.state import Array, TrainState
from jgm.eval.pictures import Picture

Frames = tuple[np.ndarray | Array, Sequence[str]]  # [K, n, *shape], and K captions
Trajectory = Callable[[TrainState, Array], Frames]
OwnPictures = Callable[[TrainState, Array], Mapping[str, Picture]]
OwnScalars = Callable[[TrainState, Array], Mapping[str, Scalar]]


def with_own(
  evaluation: Evaluation,
  state: TrainState,
  key: Array,
  *,
  pictures: OwnPictures | None,
  scalars: OwnScalars | None,
) -> Evaluation:
  """An evaluation with the experiment's own pictures and numbers after the others.

  Args:
    evaluation: what all experiments of its kind have.
    state: the training state.
    key: typed key [].
    pictures: (state, key) -> {caption: picture}, or None.
    scalars: (state, key) -> {name: Scalar}, or None.

  Returns:
    The Evaluation; what has the name of one that is there takes its place.
  """
  key_pictures, key_scalars = jax.random.split(key)
  own_scalars = {} if scalars is None else scalars(state, key_scalars)
  own_pictures = {} if pictures is None else pictures(state, key_pictures)
  return evaluation._replace(
    scalars={**evaluation.scalars, **own_scalars},
    images={**evaluation.images, **own_pictures},
  )
